//! `GET /api/v1/webhooks/incoming/{id}/requests`

use crate::WebhooksRead;
use nodeai_app::{Caller, PathId};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A request that came.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct IncomingRequest {
    /// Id (UUIDv7).
    id: String,
    /// Method.
    method: String,
    /// The path below `/hooks/…`.
    path: String,
    /// Query string.
    query: String,
    /// Header fields; what carries a credential is blanked.
    headers: Value,
    /// The body's beginning, 64 KiB.
    body: Option<String>,
    /// How `body` is written: `utf8`, or `base64` for what is no text.
    body_encoding: String,
    /// How long the body was, bytes.
    body_bytes: i64,
    /// Where it came from, as the host saw it.
    client_ip: Option<String>,
    /// Whether it is from whom it should be from.
    verified: bool,
    /// Why it is not.
    reason: Option<String>,
    /// The delivery's id.
    delivery_id: Option<String>,
    /// `started`; `duplicate` of a delivery that was there before; `recorded` only; `unverified`; or why nothing runs:
    /// `owner_gone`, `forbidden`, `missing`, `paused`, `archived`.
    outcome: String,
    /// The run; of a duplicate the earlier one's.
    execution_id: Option<String>,
    /// RFC 3339.
    created_at: String,
}

/// What came last.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IncomingRequests {
    /// The last 20, newest first.
    data: Vec<IncomingRequest>,
}

#[derive(Deserialize)]
struct Found {
    requests: Vec<IncomingRequest>,
}

/// The last requests, whatever became of them.
pub async fn handle(
    caller: Caller<WebhooksRead>,
    PathId(id): PathId,
) -> Result<Json<IncomingRequests>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let found: Option<Found> = caller.call("hook_requests", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such webhook"))?;
    let data = found.requests;
    Ok(Json::ok(IncomingRequests { data }))
}
