//! `GET /api/v1/rag-evaluation/evaluations/{id}/results`

use crate::EvaluationsRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, money, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultsQuery {
    /// Only this metric.
    metric: Option<String>,
    /// Only results without a score (true), or with one (false).
    failed: Option<bool>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    item_id: String,
    metric: String,
    score: Option<f64>,
    reason: Option<String>,
    verdicts: Option<Value>,
    trace_id: Option<String>,
    cost_pusd: i64,
    question: Value,
    expected: Option<Value>,
    answer: Option<Value>,
    contexts: Option<Value>,
    execution_id: Option<String>,
    label: Option<f64>,
    label_comment: Option<String>,
}

/// One item by one metric.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ItemResult {
    /// The item.
    item_id: String,
    /// The metric's name.
    metric: String,
    /// The score; null when there is none.
    score: Option<f64>,
    /// Why there is none, or what the judge said about it.
    reason: Option<String>,
    /// The judge's verdicts: claims with whether they are supported, and so on.
    verdicts: Option<Value>,
    /// The question.
    question: Value,
    /// What a good answer says.
    expected: Option<Value>,
    /// The answer.
    answer: Option<Value>,
    /// What it rests on.
    contexts: Option<Value>,
    /// The run that gave the answer.
    execution_id: Option<String>,
    /// The trace of whoever gave the score: of the judge, or of the run that was measured.
    trace_id: Option<String>,
    /// What judging cost, micro-USD.
    cost_usd_micros: i64,
    /// What a person says.
    label: Option<f64>,
    /// Why.
    label_comment: Option<String>,
}

impl From<Row> for ItemResult {
    fn from(row: Row) -> Self {
        Self {
            item_id: row.item_id,
            metric: row.metric,
            score: row.score,
            reason: row.reason,
            verdicts: row.verdicts,
            question: row.question,
            expected: row.expected,
            answer: row.answer,
            contexts: row.contexts,
            execution_id: row.execution_id,
            trace_id: row.trace_id,
            cost_usd_micros: money::usd_micros(row.cost_pusd),
            label: row.label,
            label_comment: row.label_comment,
        }
    }
}

#[derive(Deserialize)]
struct Found {
    results: Vec<Row>,
}

/// Results by item and metric, as far as there are any.
pub async fn handle(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
    Query(query): Query<ResultsQuery>,
) -> Result<Json<Page<ItemResult>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let after = after.map(|after| json!({"item_id": after.id, "metric": after.at}));
    let args = json!({"id": id, "org_id": caller.org_id(), "metric": query.metric, "failed": query.failed, "after": after,
        "limit": limit + 1});
    let found: Option<Found> = caller.call("evaluation_results", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such evaluation"))?;
    let rows = found.results.into_iter().map(ItemResult::from).collect();
    let position = |row: &ItemResult| Keyset {
        at: row.metric.clone(),
        id: row.item_id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
