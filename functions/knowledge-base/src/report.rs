//! `GET /api/v1/knowledge-base/{id}/report`

use crate::KnowledgeRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::{Problem, reply::Json};
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
}

/// Duplicates, failures, and whether the statistics are right.
pub async fn handle(
    caller: Caller<KnowledgeRead>,
    PathId(id): PathId,
    Query(query): Query<ReportQuery>,
) -> Result<Json<Report>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id(), "recount": query.recount});
    let report: Option<Report> = caller.call("knowledge_report", &args).await?;
    let report = report.ok_or_else(|| Problem::not_found("there is no such knowledge base"))?;
    Ok(Json::ok(report))
}
