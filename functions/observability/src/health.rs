//! `GET /api/v1/observability/health`

use crate::ObservabilityRead;
use crate::time::{Time, limit, uuid};
use nodeai_app::{Caller, Query, clock};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What health is told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Runs, by workflow.
    Workflow,
    /// Runs that have ended, by workflow and its version.
    Version,
    /// Calls, by workflow and node.
    Node,
    /// Calls of models, by provider and model.
    Model,
    /// Runs, hour by hour.
    Hour,
    /// Runs, day by day (UTC).
    Day,
}

/// What to look at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthQuery {
    /// `workflow` (unless given), `version`, `node`, `model`, `hour` or `day`.
    by: Option<By>,
    /// From this time on (RFC 3339), its hour as a whole; a day before `to` unless given, 31 days at most.
    from: Option<String>,
    /// Before this time (RFC 3339), its hour as a whole; now unless given.
    to: Option<String>,
    /// Only of this workflow (UUID).
    workflow_id: Option<String>,
    /// Rows, most calls first (by time: oldest first): 1 to 100, 20 unless given; by time all of them.
    limit: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
struct Row {
    #[serde(default)]
    at_us: Option<i64>,
    #[serde(default)]
    key: Key,
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    version: Option<i64>,
    calls: i64,
    errors: i64,
    p50_us: Option<f64>,
    p95_us: Option<f64>,
    p99_us: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Key {
    workflow: Option<String>,
    node: Option<String>,
    node_type: Option<String>,
    provider: Option<String>,
    model: Option<String>,
}

/// How something did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// When the hour or day begins, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// The workflow; null for runs of definitions that are not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<String>,
    /// The workflow's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    node_type: Option<String>,
    /// The model's provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Runs, or calls of nodes and models.
    count: i64,
    /// Of them, those that failed.
    errors: i64,
    /// Share of those that did not, 0 to 1.
    success_rate: Option<f64>,
    /// Half took at most this long. Percentiles are off by 1 % at most; by version they are exact.
    p50_ms: Option<f64>,
    /// 95 of 100 did.
    p95_ms: Option<f64>,
    /// 99 of 100 did.
    p99_ms: Option<f64>,
    /// How many a minute.
    per_minute: f64,
}

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Healths {
    /// From this time on, RFC 3339.
    from: String,
    /// Before this time, RFC 3339.
    to: String,
    /// What was found.
    data: Vec<Health>,
}

/// Answered from sums by the hour; by version from the runs themselves.
pub async fn handle(
    caller: Caller<ObservabilityRead>,
    Query(query): Query<HealthQuery>,
) -> Result<Json<Healths>, Problem> {
    let time = Time::read(query.from.as_deref(), query.to.as_deref())?;
    uuid("workflow_id", query.workflow_id.as_deref())?;
    let by = query.by.unwrap_or(By::Workflow);
    let most = limit(query.limit)?;
    let (function, args) = asked(by, &query, &time, most, caller.org_id());
    let mut rows: Vec<Row> = caller.call(function, &args).await?;
    if !matches!(by, By::Hour | By::Day) {
        rows.truncate(most as usize);
    }
    let data = rows.into_iter().map(|row| health(row, by, &time));
    Ok(Json::ok(Healths {
        from: clock::rfc3339(time.from_us),
        to: clock::rfc3339(time.to_us),
        data: data.collect(),
    }))
}

fn asked(
    by: By,
    query: &HealthQuery,
    time: &Time,
    most: u32,
    org_id: &str,
) -> (&'static str, Value) {
    let Time { from_us, to_us } = time;
    if by == By::Version {
        let args = json!({"org_id": org_id, "from_us": from_us, "to_us": to_us,
            "workflow_id": query.workflow_id, "limit": most});
        return ("health_versions", args);
    }
    let (of, step, dimensions, most) = match by {
        By::Workflow | By::Version => ("runs", "total", json!(["workflow"]), most),
        By::Node => (
            "calls",
            "total",
            json!(["workflow", "node", "node_type"]),
            most,
        ),
        By::Model => ("calls", "total", json!(["provider", "model"]), most),
        By::Hour => ("runs", "hour", json!([]), 1_000),
        By::Day => ("runs", "day", json!([]), 1_000),
    };
    let args = json!({"org_id": org_id, "from_us": from_us, "to_us": to_us, "step": step, "of": of, "by": dimensions,
        "filter": {"workflow": query.workflow_id}, "limit": most});
    ("metrics_query", args)
}

fn health(row: Row, by: By, time: &Time) -> Health {
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let ms = |us: Option<f64>| us.map(|us| us / 1_000.0);
    let seconds = match by {
        By::Hour => 3_600.0,
        By::Day => 86_400.0,
        _ => time.seconds(),
    };
    let at = row.at_us.filter(|_| matches!(by, By::Hour | By::Day));
    Health {
        at: at.map(clock::rfc3339),
        workflow_id: some(row.key.workflow).or(row.workflow),
        version: row.version,
        node_id: some(row.key.node),
        node_type: some(row.key.node_type),
        provider: some(row.key.provider),
        model: some(row.key.model),
        count: row.calls,
        errors: row.errors,
        success_rate: (row.calls > 0).then(|| 1.0 - row.errors as f64 / row.calls as f64),
        p50_ms: ms(row.p50_us),
        p95_ms: ms(row.p95_us),
        p99_ms: ms(row.p99_us),
        per_minute: row.calls as f64 / seconds * 60.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_rates() {
        let row = json!({"at_us": 0, "key": {"workflow": "", "node": "say"}, "calls": 120, "errors": 30, "p50_us": 1500.0,
            "p95_us": null, "p99_us": null});
        let time = Time {
            from_us: 0,
            to_us: 3_600_000_000,
        };
        let made = health(serde_json::from_value(row).unwrap(), By::Node, &time);
        assert_eq!((made.success_rate, made.per_minute), (Some(0.75), 2.0));
        assert_eq!((made.p50_ms, made.p95_ms), (Some(1.5), None));
        assert_eq!((made.workflow_id, made.at), (None, None));
    }
}
