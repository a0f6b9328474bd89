//! `POST /api/v1/rag-evaluation/evaluations/{id}/gate`

use super::compare::ended;
use crate::EvaluationsRead;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, PathId, Valid};
use nodeai_evaluation::summary::{Limit, check, versus};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What an evaluation has to hold: limits, or a baseline, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateInput {
    /// Limits of means, at most 50.
    #[serde(default)]
    limits: Vec<Limit>,
    /// Another evaluation: no metric may be significantly worse than there (5 %, after Holm's correction). Both must have items and a
    /// metric in common.
    #[serde(default)]
    baseline: Option<String>,
    /// The share of items that may have no score by a metric with a limit, 0 to 1; 0.1 unless given.
    #[serde(default)]
    max_failed: Option<f64>,
}

/// The share of items that may have failed unless a request says another.
const MOST_FAILED: f64 = 0.1;

impl Check for GateInput {
    fn check(&self, c: &mut Checker) {
        let some = !self.limits.is_empty() || self.baseline.is_some();
        let detail = "give limits or a baseline";
        c.require(some, "/limits", "required", detail);
        let few = self.limits.len() <= 50;
        c.require(few, "/limits", "length", "at most 50 limits");
        for (i, limit) in self.limits.iter().enumerate() {
            let one = limit.min.is_some() || limit.max.is_some();
            let at = format!("/limits/{i}");
            c.require(one, &at, "required", "give min or max");
        }
        let uuid = self.baseline.as_deref().is_none_or(is_uuid);
        c.require(uuid, "/baseline", "format", "must be a UUID");
        let share = self.max_failed.is_none_or(|x| (0.0..=1.0).contains(&x));
        c.require(share, "/max_failed", "range", "must be from 0 to 1");
    }
}

/// Whether an evaluation holds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Gate {
    /// Whether it succeeded, keeps each limit and is nowhere significantly worse than the baseline.
    passed: bool,
    /// Where the evaluation stands: `succeeded`, `failed` or `cancelled`.
    status: String,
    /// Each limit with the mean and n: `{metric, min?, max?, mean, n, failed, passed}`. A metric without scores, or that too many items
    /// have no score of, does not pass.
    limits: Vec<Value>,
    /// How many metrics could be compared with the baseline; null without one. With none it does not pass.
    compared: Option<usize>,
    /// Metrics that are significantly worse than at the baseline.
    worse: Vec<Value>,
}

/// Holds an evaluation that has ended against limits and a baseline: for continuous integration. 409 while it is at work.
pub async fn handle(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
    Valid(input): Valid<GateInput>,
) -> Result<Json<Gate>, Problem> {
    let evaluated = ended(&caller, &id).await?;
    let baseline = match &input.baseline {
        Some(baseline) => Some(ended(&caller, baseline).await?),
        None => None,
    };
    caller.session.release();
    let most_failed = input.max_failed.unwrap_or(MOST_FAILED);
    let limits = check(&evaluated, &input.limits, most_failed);
    let compared = baseline.map(|baseline| versus(&baseline, &evaluated, 0));
    let count = compared.as_ref().map(Vec::len);
    let worse = compared.into_iter().flatten();
    let worse: Vec<Value> = worse
        .filter(|one| one.verdict == "worse")
        .map(|one| json!(one))
        .collect();
    let comparable = count != Some(0);
    let holds = limits.iter().all(|one| one.passed) && worse.is_empty() && comparable;
    Ok(Json::ok(Gate {
        passed: evaluated.status == "succeeded" && holds,
        status: evaluated.status,
        limits: limits.iter().map(|one| json!(one)).collect(),
        compared: count,
        worse,
    }))
}
