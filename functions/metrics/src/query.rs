//! `GET /api/v1/metrics/query`

use crate::MetricsRead;
use crate::row::Row;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Query, clock};
use nodeai_http::{FieldError, Problem, money, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most rows of one answer.
const ROWS: usize = 5_000;
/// What series may be told apart by.
const DIMENSIONS: [&str; 7] = [
    "workflow",
    "node",
    "node_type",
    "provider",
    "model",
    "user",
    "session",
];
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Runs of workflows.
    Runs,
    /// Runs that failed.
    RunErrors,
    /// Calls of models, tools, retrieval and nodes.
    Calls,
    /// Calls that failed.
    Errors,
    /// Failed of all calls, 0 to 1.
    ErrorRate,
    /// Tokens read.
    PromptTokens,
    /// Tokens written.
    CompletionTokens,
    /// Tokens read from a provider's cache.
    CacheReadTokens,
    /// Tokens of reasoning.
    ReasoningTokens,
    /// Micro-USD.
    CostUsdMicros,
    /// Model calls whose price is not known.
    UnpricedCalls,
    /// Half of the calls took at most so many ms.
    LatencyP50,
    /// 95 of 100 calls did.
    LatencyP95,
    /// 99 of 100 calls did.
    LatencyP99,
}

/// Steps of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Hours.
    Hour,
    /// Days (UTC).
    #[default]
    Day,
    /// All of it at once.
    Total,
}

/// A question.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsQuery {
    /// What to measure.
    measure: Measure,
    /// Dimensions, separated by commas: `workflow`, `node`, `node_type`, `provider`, `model`, `user`, `session`.
    by: Option<String>,
    /// `hour`, `day` (unless given) or `total`.
    step: Option<Step>,
    /// From this time on (RFC 3339), its hour as a whole; 7 days before `to` unless given, 400 days at most, 31 by session.
    from: Option<String>,
    /// Before this time (RFC 3339); the end of this hour unless given.
    to: Option<String>,
    /// Only of this workflow (UUID).
    workflow: Option<String>,
    /// Only of this node.
    node: Option<String>,
    /// Only of this type of node.
    node_type: Option<String>,
    /// Only of this provider.
    provider: Option<String>,
    /// Only of this model.
    model: Option<String>,
    /// Only of this user (UUID).
    user: Option<String>,
    /// Only of this session.
    session: Option<String>,
}

/// A value of a series.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Point {
    /// When the step begins, RFC 3339.
    at: String,
    /// The value; null where there is none, such as a latency of nothing.
    value: Option<f64>,
}

/// A series.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Series {
    /// Its place in each dimension that was asked for; empty text for none.
    key: BTreeMap<String, String>,
    /// Oldest first; steps in which nothing happened are left out.
    points: Vec<Point>,
}

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    /// What was measured.
    measure: Measure,
    /// The step.
    step: Step,
    /// From this time on, RFC 3339.
    from: String,
    /// Before this time, RFC 3339.
    to: String,
    /// The series.
    series: Vec<Series>,
    /// Whether there is more than 5,000 values; ask for less time or fewer dimensions.
    truncated: bool,
}

/// Answered from sums by the hour or day; by session from the spans.
pub async fn handle(
    caller: Caller<MetricsRead>,
    Query(query): Query<MetricsQuery>,
) -> Result<Json<Answer>, Problem> {
    let (from_us, to_us, dimensions) = checked(&query)?;
    let step = query.step.unwrap_or_default();
    let of_runs = matches!(query.measure, Measure::Runs | Measure::RunErrors);
    let of_time = matches!(
        query.measure,
        Measure::LatencyP50 | Measure::LatencyP95 | Measure::LatencyP99
    );
    let args = json!({"org_id": caller.org_id(), "from_us": from_us, "to_us": to_us, "step": step,
        "of": if of_runs { "runs" } else { "calls" }, "by": dimensions, "filter": filter(&query), "limit": ROWS,
        "quantiles": of_time});
    let mut rows: Vec<Row> = caller.call("metrics_query", &args).await?;
    let truncated = rows.len() > ROWS;
    rows.truncate(ROWS);
    Ok(Json::ok(Answer {
        measure: query.measure,
        step,
        from: clock::rfc3339(from_us),
        to: clock::rfc3339(to_us),
        series: series(&rows, query.measure),
        truncated,
    }))
}

fn filter(query: &MetricsQuery) -> Value {
    json!({"workflow": query.workflow, "node": query.node, "node_type": query.node_type, "provider": query.provider,
        "model": query.model, "user": query.user, "session": query.session})
}

fn bad(name: &str, code: &str, detail: &str) -> Problem {
    Problem::fields(vec![FieldError::parameter(name, code, detail)])
}

/// The time in µs, in whole hours, and the dimensions. Errors: 400.
fn checked(query: &MetricsQuery) -> Result<(i64, i64, Vec<&str>), Problem> {
    let dimensions: Vec<&str> = query
        .by
        .as_deref()
        .unwrap_or("")
        .split(',')
        .filter(|d| !d.is_empty())
        .collect();
    if let Some(unknown) = dimensions.iter().find(|d| !DIMENSIONS.contains(d)) {
        let detail = format!("{unknown} is none of {}", DIMENSIONS.join(", "));
        return Err(bad("by", "unknown", &detail));
    }
    for (name, id) in [("workflow", &query.workflow), ("user", &query.user)] {
        if id.as_deref().is_some_and(|id| !is_uuid(id)) {
            return Err(bad(name, "format", "must be a UUID"));
        }
    }
    let by_session = dimensions.contains(&"session") || query.session.is_some();
    let time = |name: &str, text: &Option<String>| match text.as_deref().map(clock::parse_rfc3339) {
        Some(None) => Err(bad(name, "format", "must be a time in RFC 3339")),
        Some(at) => Ok(at),
        None => Ok(None),
    };
    let end = time("to", &query.to)?.unwrap_or_else(|| clock::now_us() + HOUR_US - 1);
    let end = end.div_euclid(HOUR_US) * HOUR_US;
    let begin = time("from", &query.from)?.unwrap_or(end - 7 * DAY_US);
    let begin = begin.div_euclid(HOUR_US) * HOUR_US;
    let most = if by_session { 31 } else { 400 };
    if begin >= end || end - begin > most * DAY_US {
        let detail = format!("must be before to, by {most} days at most");
        return Err(bad("from", "out_of_range", &detail));
    }
    Ok((begin, end, dimensions))
}

fn value(row: &Row, measure: Measure) -> Option<f64> {
    let ms = |us: Option<f64>| us.map(|us| us / 1_000.0);
    match measure {
        Measure::Runs | Measure::Calls => Some(row.calls as f64),
        Measure::RunErrors | Measure::Errors => Some(row.errors as f64),
        Measure::ErrorRate => (row.calls > 0).then(|| row.errors as f64 / row.calls as f64),
        Measure::PromptTokens => Some(row.prompt_tokens as f64),
        Measure::CompletionTokens => Some(row.completion_tokens as f64),
        Measure::CacheReadTokens => Some(row.cache_read_tokens as f64),
        Measure::ReasoningTokens => Some(row.reasoning_tokens as f64),
        Measure::CostUsdMicros => Some(money::usd_micros(row.pusd()) as f64),
        Measure::UnpricedCalls => Some(row.unpriced_calls as f64),
        Measure::LatencyP50 => ms(row.p50_us),
        Measure::LatencyP95 => ms(row.p95_us),
        Measure::LatencyP99 => ms(row.p99_us),
    }
}

/// Rows come by time; series come in the order of their keys.
fn series(rows: &[Row], measure: Measure) -> Vec<Series> {
    let mut made: BTreeMap<&BTreeMap<String, String>, Vec<Point>> = BTreeMap::new();
    for row in rows {
        made.entry(&row.key).or_default().push(Point {
            at: clock::rfc3339(row.at_us),
            value: value(row, measure),
        });
    }
    let made = made.into_iter().map(|(key, points)| Series {
        key: key.clone(),
        points,
    });
    made.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> MetricsQuery {
        nodeai_http::input::parse_query(text).unwrap()
    }

    #[test]
    fn times_are_whole_hours() {
        let asked =
            query("measure=calls&from=2026-11-01T10:20:00Z&to=2026-11-01T12:59:00Z&by=model,user");
        let (from, to, by) = checked(&asked).unwrap();
        assert_eq!((to - from) / HOUR_US, 2);
        assert_eq!(by, ["model", "user"]);
    }

    #[test]
    fn what_is_asked_wrongly_is_named() {
        for (text, parameter) in [
            ("measure=calls&by=colour", "by"),
            ("measure=calls&workflow=x", "workflow"),
            ("measure=calls&from=yesterday", "from"),
            ("measure=calls&from=2024-01-01T00:00:00Z", "from"),
            (
                "measure=calls&by=session&from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z",
                "from",
            ),
        ] {
            let problem = checked(&query(text)).unwrap_err();
            assert_eq!(
                problem.errors[0].parameter.as_deref(),
                Some(parameter),
                "{text}"
            );
        }
    }

    #[test]
    fn rows_become_series() {
        let row = |model: &str, at_us: i64, calls: i64| Row {
            at_us,
            calls,
            errors: 1,
            key: BTreeMap::from([("model".to_owned(), model.to_owned())]),
            ..Row::default()
        };
        let made = series(
            &[row("b", 0, 4), row("a", 0, 2), row("b", 1, 1)],
            Measure::ErrorRate,
        );
        assert_eq!(made[0].key["model"], "a");
        let values: Vec<_> = made[1].points.iter().map(|p| p.value).collect();
        assert_eq!(values, [Some(0.25), Some(1.0)]);
    }
}
