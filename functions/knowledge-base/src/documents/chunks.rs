//! `GET /api/v1/knowledge-base/{id}/documents/{document_id}/chunks`

use super::documents as document;
use super::get::one;
use crate::bases::knowledge_bases;
use crate::{KnowledgeRead, rules};
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

nodeai_store::columns! {
    /// Chunks.
    chunks {
        id: Uuid, document_id: Uuid, index_version: Int, number: Int, parent_number: Int, parent_start: Int, parent_end: Int,
        start_offset: Int, end_offset: Int, content: Text, content_hash: Text, token_count: Int, term_count: Int,
        metadata: Json,
    }
}

use chunks as col;

const SHOWN: &[Column] = &[
    col::id,
    col::number,
    col::parent_number,
    col::parent_start,
    col::parent_end,
    col::start_offset,
    col::end_offset,
    col::content,
    col::content_hash,
    col::token_count,
    col::term_count,
    col::metadata,
];

/// A chunk. Places count characters of the document's content.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Chunk {
    /// Id: the same as long as the chunk with this number says the same.
    id: String,
    /// Its number in the document, from 0.
    number: i64,
    /// Which parent it belongs to.
    parent_number: Option<i64>,
    /// Where the parent begins.
    parent_start: Option<i64>,
    /// Where the parent ends.
    parent_end: Option<i64>,
    /// Where it begins.
    start_offset: i64,
    /// Where it ends.
    end_offset: i64,
    /// What it says.
    content: String,
    /// SHA-256 of that, hex.
    content_hash: String,
    /// Estimated tokens.
    token_count: i64,
    /// Terms: the length that BM25 goes by.
    term_count: i64,
    /// `headings` above it.
    metadata: Map<String, Value>,
}

/// Which index, and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChunksQuery {
    /// Of this index; the active one unless given.
    index: Option<i32>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Base {
    active_index: i32,
}

/// A document's chunks, in order.
pub async fn handle(
    caller: Caller<KnowledgeRead>,
    PathId(id): PathId,
    Query(query): Query<ChunksQuery>,
) -> Result<Json<Page<Chunk>>, Problem> {
    let document_id = rules::path_uuid(&caller.cx, "document_id", "document")?;
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let found = one(id.clone(), document_id.clone(), &[document::id]);
    let _: Value = caller.find(found, "document").await?;
    let index = match query.index {
        Some(index) => index,
        None => {
            let base = Select::from(knowledge_bases::TABLE, &[knowledge_bases::active_index])
                .filter(Filter::Eq(knowledge_bases::id, id));
            let base: Base = caller.find(base, "knowledge base").await?;
            base.active_index
        }
    };
    let after = after.map(|key| (key.at, key.id));
    let select = Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::document_id, document_id))
        .filter(Filter::Eq(col::index_version, index.to_string()))
        .ascending(col::number, col::id, after, limit + 1);
    let rows: Vec<Chunk> = caller.select(select).await?;
    let position = |row: &Chunk| Keyset {
        at: row.number.to_string(),
        id: row.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
