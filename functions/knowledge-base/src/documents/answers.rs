//! `GET /api/v1/knowledge-base/{id}/documents/{document_id}/answers`

use crate::{KnowledgeRead, rules};
use nodeai_app::{Caller, PathId, Query, clock};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{FieldError, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Since when, and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswersQuery {
    /// Given at or after, RFC 3339; the last 30 days unless given.
    from: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A search that gave chunks of the document, in the trace of what asked it. The query tracer shows such a trace with its question,
/// prompt and answer to whoever may read traces.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The trace.
    trace_id: String,
    /// The search in it.
    span_id: String,
    /// RFC 3339.
    at: String,
    /// The same, µs since the Unix epoch.
    at_us: i64,
    /// The run that asked; absent for a search by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
    /// Its workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<String>,
    /// What the trace is called.
    name: Option<String>,
    /// How it ended: `ok`, `error`, `unset`.
    status: Option<String>,
    /// What it had of the document.
    chunks: Vec<Used>,
}

/// A chunk that was given.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    /// The chunk.
    id: String,
    /// Its place among the results, from 1.
    rank: i64,
    /// Its score by the last stage.
    score: Option<f64>,
    /// Whether the document still has it: false where it has changed since.
    current: bool,
}

#[derive(Deserialize)]
struct Found {
    answers: Vec<Answer>,
}

/// Searches whose spans are kept and which gave chunks of the document. A span names at most 100 results.
pub async fn handle(
    caller: Caller<KnowledgeRead>,
    PathId(id): PathId,
    Query(query): Query<AnswersQuery>,
) -> Result<Json<Page<Answer>>, Problem> {
    let document_id = rules::path_uuid(&caller.cx, "document_id", "document")?;
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let from_us = match query.from.as_deref().map(clock::parse_rfc3339) {
        Some(None) => {
            let error = FieldError::parameter("from", "format", "must be a time, RFC 3339");
            return Err(Problem::fields(vec![error]));
        }
        from => from.flatten(),
    };
    let before =
        after.and_then(|key| Some(json!({"at_us": key.at.parse::<i64>().ok()?, "id": key.id})));
    let args = json!({"id": id, "org_id": caller.org_id(), "document_id": document_id, "from_us": from_us,
        "limit": limit + 1, "before": before});
    let found: Option<Found> = caller.call("knowledge_answers", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such document"))?;
    let position = |row: &Answer| Keyset {
        at: row.at_us.to_string(),
        id: row.span_id.clone(),
    };
    Ok(Json::ok(Page::cut(found.answers, limit, position)))
}
