//! `GET /api/v1/rag-evaluation/rules/{id}/series`

use crate::EvaluationsRead;
use nodeai_app::{Caller, PathId, Query, clock};
use nodeai_http::page::Page;
use nodeai_http::{FieldError, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const DAY_US: i64 = 86_400_000_000;
/// Longest series, days: by the hour, and by the day. Questions are kept for 30 days.
const HOURS_OF: i64 = 7;
const DAYS_OF: i64 = 31;
/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Which time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesQuery {
    /// From this time on, RFC 3339; as long as can be before `to` unless given.
    from: Option<String>,
    /// Before this time, RFC 3339; now unless given.
    to: Option<String>,
    /// `day` unless given.
    step: Option<Step>,
}

/// Length of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// An hour; at most 7 days.
    Hour,
    /// A UTC day; at most 31.
    Day,
}

#[derive(Deserialize)]
struct Row {
    metric: String,
    at_us: i64,
    n: i64,
    mean: Option<f64>,
    deviation: Option<f64>,
    failed: i64,
}

#[derive(Deserialize)]
struct Found {
    points: Vec<Row>,
}

/// A metric over the sampled traces of one hour or day.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Point {
    /// The metric's name.
    metric: String,
    /// When the hour or day begins, RFC 3339.
    at: String,
    /// Mean of the scores; null without any.
    mean: Option<f64>,
    /// How many there are.
    n: i64,
    /// 95 % interval of the mean by the normal approximation; null of fewer than two scores.
    interval: Option<(f64, f64)>,
    /// Traces without a score: they are not in the mean.
    failed: i64,
}

impl From<Row> for Point {
    fn from(row: Row) -> Self {
        let interval = match (row.mean, row.deviation) {
            (Some(mean), Some(deviation)) => {
                let half = Z * deviation / (row.n as f64).sqrt();
                Some((mean - half, mean + half))
            }
            _ => None,
        };
        Self {
            metric: row.metric,
            at: clock::rfc3339(row.at_us),
            mean: row.mean,
            n: row.n,
            interval,
            failed: row.failed,
        }
    }
}

impl SeriesQuery {
    fn span(&self) -> Result<(i64, i64, Step), Problem> {
        let time = |given: &Option<String>, name: &str| match given.as_deref() {
            None => Ok(None),
            Some(text) => clock::parse_rfc3339(text).map(Some).ok_or_else(|| {
                let detail = "must be a time in RFC 3339";
                Problem::fields(vec![FieldError::parameter(name, "format", detail)])
            }),
        };
        let step = self.step.unwrap_or(Step::Day);
        let days = if step == Step::Hour {
            HOURS_OF
        } else {
            DAYS_OF
        };
        let to = time(&self.to, "to")?.unwrap_or_else(clock::now_us);
        let from = time(&self.from, "from")?.unwrap_or(to - days * DAY_US);
        if from >= to || to - from > days * DAY_US {
            let detail = format!("must be before to, by at most {days} days");
            return Err(Problem::fields(vec![FieldError::parameter(
                "from", "range", detail,
            )]));
        }
        Ok((from, to, step))
    }
}

/// What its metrics come to over time, by when the traces began.
pub async fn handle(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<Page<Point>>, Problem> {
    let (from_us, to_us, step) = query.span()?;
    let args = json!({"id": id, "org_id": caller.org_id(), "from_us": from_us, "to_us": to_us, "step": step});
    let found: Option<Found> = caller.call("eval_rule_series", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such rule"))?;
    Ok(Json::ok(Page {
        data: found.points.into_iter().map(Point::from).collect(),
        next_cursor: None,
    }))
}
