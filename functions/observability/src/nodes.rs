//! `GET /api/v1/observability/slowest`, `…/failing`

use crate::ObservabilityRead;
use crate::time::{Time, limit, uuid};
use nodeai_app::{Caller, Query};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Which nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodesQuery {
    /// From this time on (RFC 3339), its hour as a whole; a day before `to` unless given, 31 days at most.
    from: Option<String>,
    /// Before this time (RFC 3339), its hour as a whole; now unless given.
    to: Option<String>,
    /// Only of this workflow (UUID).
    workflow_id: Option<String>,
    /// Nodes: 1 to 100, 20 unless given.
    limit: Option<u32>,
}

#[derive(Deserialize)]
struct Row {
    workflow_id: Option<String>,
    node_id: String,
    node_type: Option<String>,
    calls: i64,
    errors: i64,
    p50_us: Option<f64>,
    p95_us: Option<f64>,
    p99_us: Option<f64>,
    samples: Vec<String>,
}

/// A node.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Node {
    /// Its workflow; null for definitions that are not stored.
    workflow_id: Option<String>,
    /// Its id in the workflow.
    node_id: String,
    /// Its type.
    node_type: Option<String>,
    /// How often it was called.
    calls: i64,
    /// How often it failed.
    errors: i64,
    /// Failed of all calls, 0 to 1.
    error_rate: f64,
    /// Half of the calls took at most this long; percentiles are off by 1 % at most.
    p50_ms: Option<f64>,
    /// 95 of 100 calls did.
    p95_ms: Option<f64>,
    /// 99 of 100 calls did.
    p99_ms: Option<f64>,
    /// Traces to look at: the slowest, or the newest that failed; up to three.
    sample_trace_ids: Vec<String>,
}

/// Nodes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Nodes {
    /// The worst first.
    data: Vec<Node>,
}

/// By the time that 95 of 100 calls take at most.
pub async fn slowest(
    caller: Caller<ObservabilityRead>,
    Query(query): Query<NodesQuery>,
) -> Result<Json<Nodes>, Problem> {
    ranked(&caller, &query, "slowest").await
}

/// By the number of errors; nodes without any are left out.
pub async fn failing(
    caller: Caller<ObservabilityRead>,
    Query(query): Query<NodesQuery>,
) -> Result<Json<Nodes>, Problem> {
    ranked(&caller, &query, "failing").await
}

async fn ranked(
    caller: &Caller<ObservabilityRead>,
    query: &NodesQuery,
    sort: &str,
) -> Result<Json<Nodes>, Problem> {
    let time = Time::read(query.from.as_deref(), query.to.as_deref())?;
    uuid("workflow_id", query.workflow_id.as_deref())?;
    let args = json!({"org_id": caller.org_id(), "from_us": time.from_us, "to_us": time.to_us, "sort": sort,
        "workflow_id": query.workflow_id, "limit": limit(query.limit)?});
    let rows: Vec<Row> = caller.call("nodes_ranked", &args).await?;
    Ok(Json::ok(Nodes {
        data: rows.into_iter().map(Node::from).collect(),
    }))
}

impl From<Row> for Node {
    fn from(row: Row) -> Self {
        let ms = |us: Option<f64>| us.map(|us| us / 1_000.0);
        Self {
            workflow_id: row.workflow_id,
            node_id: row.node_id,
            node_type: row.node_type,
            calls: row.calls,
            errors: row.errors,
            error_rate: row.errors as f64 / row.calls.max(1) as f64,
            p50_ms: ms(row.p50_us),
            p95_ms: ms(row.p95_us),
            p99_ms: ms(row.p99_us),
            sample_trace_ids: row.samples,
        }
    }
}
