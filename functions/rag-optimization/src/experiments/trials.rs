//! `GET /api/v1/rag-optimization/experiments/{id}/trials`

use crate::OptimizationsRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_evaluation::experiment::space::Setting;
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, money, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialsQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    number: i64,
    settings: Setting,
    scores: Scores,
    latency_us: Option<i64>,
    cost_pusd: i64,
}

/// How a setting did in the search.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Scores {
    /// Mean of the metric.
    mean: f64,
    /// Of so many questions; a setting that fell behind was asked fewer. Means of as many questions can be compared.
    questions: i64,
}

/// A setting that was tried.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Trial {
    /// From 1, the best first.
    number: i64,
    /// What was tried.
    settings: Setting,
    /// How it did in the search. The verdict on the best ones is in the experiment's outcome.
    scores: Scores,
    /// How long a query takes by it, µs, from the searches of the experiment: of `hybrid` the sum of both, which is the most it takes.
    latency_us: Option<i64>,
    /// What the vectors of 1,000 queries cost by it, micro-USD.
    cost_per_1000_usd_micros: i64,
}

impl From<Row> for Trial {
    fn from(row: Row) -> Self {
        Self {
            number: row.number,
            settings: row.settings,
            scores: row.scores,
            latency_us: row.latency_us,
            cost_per_1000_usd_micros: money::usd_micros(row.cost_pusd),
        }
    }
}

#[derive(Deserialize)]
struct Found {
    trials: Vec<Row>,
}

/// All settings that were tried, the best first: those that were asked all questions of the search, then those that fell behind.
pub async fn handle(
    caller: Caller<OptimizationsRead>,
    PathId(id): PathId,
    Query(query): Query<TrialsQuery>,
) -> Result<Json<Page<Trial>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    // What is no number of a trial is behind none.
    let after = after.and_then(|after| after.at.parse::<i32>().ok());
    let args = json!({"id": id, "org_id": caller.org_id(), "after": after, "limit": limit + 1});
    let found: Option<Found> = caller.call("experiment_tried", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such experiment"))?;
    let rows = found.trials.into_iter().map(Trial::from).collect();
    let position = |row: &Trial| Keyset {
        at: row.number.to_string(),
        id: id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
