//! `GET /api/v1/rag-optimization/studies/{id}/trials`

use crate::OptimizationsRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, money, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::experiments::trials::{Scores, TrialsQuery};

#[derive(Deserialize)]
struct Row {
    number: i64,
    rank: Option<i64>,
    settings: Value,
    scores: Option<Scores>,
    latency_us: Option<i64>,
    cost_pusd: Option<i64>,
}

/// A combination that is tried.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StudyTrial {
    /// From 1, which is the workflow as it is.
    number: i64,
    /// Its place in the search, from 1, the best first; null until the study has ended.
    rank: Option<i64>,
    /// What it sets, by the parameters' names.
    settings: Value,
    /// How it did in the search. The verdict on the best ones is in the study's outcome.
    scores: Option<Scores>,
    /// How long a run takes by it, µs.
    latency_us: Option<i64>,
    /// What 1,000 runs cost by it, micro-USD.
    cost_per_1000_usd_micros: Option<i64>,
}

impl From<Row> for StudyTrial {
    fn from(row: Row) -> Self {
        Self {
            number: row.number,
            rank: row.rank,
            settings: row.settings,
            scores: row.scores,
            latency_us: row.latency_us,
            cost_per_1000_usd_micros: row.cost_pusd.map(money::usd_micros),
        }
    }
}

#[derive(Deserialize)]
struct Found {
    trials: Vec<Row>,
}

/// All combinations, the best first once the study has ended: those that were asked all questions of the search, then those that fell
/// behind.
pub async fn handle(
    caller: Caller<OptimizationsRead>,
    PathId(id): PathId,
    Query(query): Query<TrialsQuery>,
) -> Result<Json<Page<StudyTrial>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    // What is no place of a trial is behind none.
    let after = after.and_then(|after| after.at.parse::<i32>().ok());
    let args = json!({"id": id, "org_id": caller.org_id(), "after": after, "limit": limit + 1});
    let found: Option<Found> = caller.call("study_tried", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such study"))?;
    let rows = found.trials.into_iter().map(StudyTrial::from).collect();
    let position = |row: &StudyTrial| Keyset {
        at: row.rank.unwrap_or(row.number).to_string(),
        id: id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
