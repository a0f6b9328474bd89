//! `GET /api/v1/knowledge-base/{id}/documents`

use super::{Document, SHOWN, documents as col};
use crate::KnowledgeRead;
use crate::bases::knowledge_bases;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::Page;
use nodeai_http::{FieldError, Problem, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

const STATES: [&str; 4] = ["pending", "processing", "ready", "failed"];
const KINDS: [&str; 5] = ["text", "upload", "url", "sitemap", "connector"];

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// `pending`, `processing`, `ready` or `failed`.
    status: Option<String>,
    /// `text`, `upload`, `url`, `sitemap` or `connector`.
    source_kind: Option<String>,
    /// Part of the title.
    q: Option<String>,
    /// Documents of this sitemap.
    origin_id: Option<String>,
    /// Documents with this content: SHA-256, hex.
    content_hash: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Documents, newest first.
pub async fn handle(
    caller: Caller<KnowledgeRead>,
    PathId(id): PathId,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Document>>, Problem> {
    let status = one_of("status", query.status, &STATES)?;
    let kind = one_of("source_kind", query.source_kind, &KINDS)?;
    let origin = uuid_filter(col::origin_id, query.origin_id)?;
    let base = Select::from(knowledge_bases::TABLE, &[knowledge_bases::id])
        .filter(Filter::Eq(knowledge_bases::id, id.clone()));
    let _: Value = caller.find(base, "knowledge base").await?;
    let select = Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::knowledge_base_id, id))
        .filter_if(status.map(|status| Filter::Eq(col::status, status)))
        .filter_if(kind.map(|kind| Filter::Eq(col::source_kind, kind)))
        .filter_if(query.q.map(|text| Filter::ContainsText(col::title, text)))
        .filter_if(
            query
                .content_hash
                .map(|hash| Filter::Eq(col::content_hash, hash)),
        )
        .filter_if(origin);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |document: &Document| &document.id)
        .await
}

fn one_of(name: &str, given: Option<String>, words: &[&str]) -> Result<Option<String>, Problem> {
    match given {
        Some(word) if !words.contains(&word.as_str()) => {
            let detail = format!("one of {}", words.join(", "));
            let error = FieldError::parameter(name, "one_of", detail);
            Err(Problem::fields(vec![error]))
        }
        given => Ok(given),
    }
}
