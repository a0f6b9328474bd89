//! `GET /api/v1/knowledge-base/{id}/report`

use crate::KnowledgeRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::{FieldError, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What wants attention.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Documents with the same content, at most 100 groups.
    duplicates: Vec<Twins>,
    /// Documents that could not be indexed, newest first, at most 100.
    failed: Vec<Failed>,
    /// Documents that wait or are at work, in all indexes.
    waiting: i64,
    /// Documents that are searched as they no longer are, newest first, at most 100.
    #[serde(default)]
    stale: Vec<Stale>,
    /// Chunks that belong to no index, or that their document does not count.
    #[serde(default)]
    orphans: i64,
    /// Texts that chunks of several documents have, at most 100 groups.
    #[serde(default)]
    repeated: Vec<Repeated>,
    /// The active index's statistics, and what counting gives; with `recount`.
    integrity: Option<Integrity>,
}

/// Documents with the same content.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Twins {
    /// SHA-256 of the content, hex.
    content_hash: String,
    /// `id` and `title` of each.
    documents: Vec<Value>,
}

/// A document that is searched as it no longer is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stale {
    /// The document.
    document_id: String,
    /// Its title.
    title: String,
    /// `changed`: new content waits; `failed`: new content could not be indexed; `old`: its URL was last asked more than `stale_days` ago.
    why: String,
    /// When its source was asked last, RFC 3339.
    fetched_at: Option<String>,
}

/// A text that chunks of several documents have.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Repeated {
    /// SHA-256 of the text, hex.
    content_hash: String,
    /// The documents.
    documents: Vec<String>,
}

/// A document that could not be indexed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// The document.
    document_id: String,
    /// In which index.
    index: i64,
    /// `kind` and `message`.
    error: Option<Value>,
}

/// Statistics that search goes by, beside a recount.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Integrity {
    /// Chunks, by the statistics.
    chunk_count: i64,
    /// Chunks, counted.
    counted: i64,
    /// Terms in them, by the statistics.
    term_count: i64,
    /// Terms in them, counted.
    counted_terms: i64,
    /// Terms whose document frequency is not what counting gives.
    wrong_terms: i64,
}

/// What it tells.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportQuery {
    /// Counts the active index again, beside its statistics: it reads every posting.
    #[serde(default)]
    recount: bool,
    /// From how many days on a fetched source is `old`: 1 to 3,650, 30 unless given.
    stale_days: Option<u32>,
}

/// Duplicates, failures, what is stale or orphaned, and whether the statistics are right.
pub async fn handle(
    caller: Caller<KnowledgeRead>,
    PathId(id): PathId,
    Query(query): Query<ReportQuery>,
) -> Result<Json<Report>, Problem> {
    if query
        .stale_days
        .is_some_and(|days| !(1..=3_650).contains(&days))
    {
        let error = FieldError::parameter("stale_days", "out_of_range", "1 to 3650");
        return Err(Problem::fields(vec![error]));
    }
    let args = json!({"id": id, "org_id": caller.org_id(), "recount": query.recount,
        "stale_days": query.stale_days});
    let report: Option<Report> = caller.call("knowledge_report", &args).await?;
    let report = report.ok_or_else(|| Problem::not_found("there is no such knowledge base"))?;
    Ok(Json::ok(report))
}
