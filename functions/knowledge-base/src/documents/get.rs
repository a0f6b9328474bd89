//! `GET /api/v1/knowledge-base/{id}/documents/{document_id}`

use super::{Document, SHOWN, documents as col};
use crate::{KnowledgeRead, rules};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::{Problem, etag, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one document shows: [`SHOWN`] and its texts.
const WHOLE: &[Column] = &{
    let mut columns = [col::content; SHOWN.len() + 2];
    let mut at = 0;
    while at < SHOWN.len() {
        columns[at] = SHOWN[at];
        at += 1;
    }
    columns[at] = col::pending_content;
    columns
};

/// A document with its content.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Whole {
    /// The document.
    #[serde(flatten)]
    document: Document,
    /// What the active index has of it.
    content: Option<String>,
    /// What it will have once the document is ready.
    pending_content: Option<String>,
}

/// One document of a base.
pub(super) fn one(id: String, document_id: String, columns: &'static [Column]) -> Select {
    Select::from(col::TABLE, columns)
        .filter(Filter::Eq(col::id, document_id))
        .filter(Filter::Eq(col::knowledge_base_id, id))
}

/// One document with its content.
pub async fn handle(
    caller: Caller<KnowledgeRead>,
    PathId(id): PathId,
) -> Result<Json<Whole>, Problem> {
    let document_id = rules::path_uuid(&caller.cx, "document_id", "document")?;
    let whole: Whole = caller.find(one(id, document_id, WHOLE), "document").await?;
    let tag = etag::of(whole.document.version);
    Ok(Json::ok(whole).header(header::ETAG, tag))
}
