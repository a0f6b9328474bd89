//! `GET /api/v1/observability/errors`

use crate::ObservabilityRead;
use crate::time::{Time, limit, uuid};
use nodeai_app::{Caller, Query, clock};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Which errors.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorsQuery {
    /// From this time on (RFC 3339), its hour as a whole; a day before `to` unless given, 31 days at most.
    from: Option<String>,
    /// Before this time (RFC 3339), its hour as a whole; now unless given.
    to: Option<String>,
    /// Only of this workflow (UUID).
    workflow_id: Option<String>,
    /// Only of this type of node.
    node_type: Option<String>,
    /// Groups: 1 to 100, 20 unless given.
    limit: Option<u32>,
}

#[derive(Deserialize)]
struct Row {
    fingerprint: String,
    message: String,
    example: String,
    node_type: Option<String>,
    kind: Option<String>,
    count: i64,
    traces: i64,
    first_us: i64,
    last_us: i64,
    samples: Vec<String>,
}

/// Errors that are the same but for ids, numbers, addresses and quoted texts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Group {
    /// The same for the same message, type of node and kind.
    fingerprint: String,
    /// The message without what differs each time.
    message: String,
    /// The newest message as it was, up to 500 characters.
    example: String,
    /// Type of the node that failed.
    node_type: Option<String>,
    /// Kind of the error (`error.type`).
    kind: Option<String>,
    /// Spans that failed so.
    count: i64,
    /// Traces that they are in.
    traces: i64,
    /// First seen in this time, RFC 3339.
    first_seen: String,
    /// Last seen in this time, RFC 3339.
    last_seen: String,
    /// The newest traces, up to three.
    sample_trace_ids: Vec<String>,
}

/// Groups of errors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Groups {
    /// The most frequent first.
    data: Vec<Group>,
}

/// Looks at the newest 100,000 spans that failed.
pub async fn handle(
    caller: Caller<ObservabilityRead>,
    Query(query): Query<ErrorsQuery>,
) -> Result<Json<Groups>, Problem> {
    let time = Time::read(query.from.as_deref(), query.to.as_deref())?;
    uuid("workflow_id", query.workflow_id.as_deref())?;
    let args = json!({"org_id": caller.org_id(), "from_us": time.from_us, "to_us": time.to_us,
        "workflow_id": query.workflow_id, "node_type": query.node_type, "limit": limit(query.limit)?});
    let rows: Vec<Row> = caller.call("error_groups", &args).await?;
    Ok(Json::ok(Groups {
        data: rows.into_iter().map(Group::from).collect(),
    }))
}

impl From<Row> for Group {
    fn from(row: Row) -> Self {
        Self {
            fingerprint: row.fingerprint,
            message: row.message,
            example: row.example,
            node_type: row.node_type,
            kind: row.kind,
            count: row.count,
            traces: row.traces,
            first_seen: clock::rfc3339(row.first_us),
            last_seen: clock::rfc3339(row.last_us),
            sample_trace_ids: row.samples,
        }
    }
}
