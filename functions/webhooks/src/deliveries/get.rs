//! `GET /api/v1/webhooks/deliveries/{id}`

use super::{Status, message_id};
use crate::WebhooksRead;
use nodeai_app::{Caller, PathId};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Found {
    delivery: Row,
    attempts: Vec<Tried>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    webhook_id: String,
    event_type: String,
    status: Status,
    payload: Value,
    next_at: Option<String>,
    delivered_at: Option<String>,
    created_at: String,
}

#[derive(Deserialize)]
struct Tried {
    number: i64,
    at: String,
    status: Option<i64>,
    error: Option<String>,
    request: Option<Value>,
    response: Option<Value>,
    duration_us: Option<i64>,
}

/// A delivery with all that was tried.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Delivery {
    /// Id (UUIDv7).
    id: String,
    /// `webhook-id` of its requests.
    message_id: String,
    /// Its webhook.
    webhook_id: String,
    /// The event.
    event_type: String,
    /// What it is at.
    status: Status,
    /// The body that is sent.
    payload: Value,
    /// When it is sent, RFC 3339; null when it is not.
    next_at: Option<String>,
    /// When it was taken last, RFC 3339.
    delivered_at: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// What was tried, in order.
    attempts: Vec<Attempt>,
}

/// One request, and what came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Attempt {
    /// From 1; a number that is missing was lost with its host.
    number: i64,
    /// When it began, RFC 3339.
    at: String,
    /// Status of the answer; null when there was none.
    status: Option<i64>,
    /// Why there was none.
    error: Option<String>,
    /// `method`, `url` and `headers` without the signatures.
    request: Option<Value>,
    /// `headers`, the first 4 KiB of `body`, and whether it was `truncated`.
    response: Option<Value>,
    /// How long it took.
    duration_ms: Option<f64>,
}

impl From<Tried> for Attempt {
    fn from(tried: Tried) -> Self {
        Self {
            number: tried.number,
            at: tried.at,
            status: tried.status,
            error: tried.error,
            request: tried.request,
            response: tried.response,
            duration_ms: tried.duration_us.map(|us| us as f64 / 1_000.0),
        }
    }
}

/// One delivery with its attempts.
pub async fn handle(
    caller: Caller<WebhooksRead>,
    PathId(id): PathId,
) -> Result<Json<Delivery>, Problem> {
    let args = json!({"org_id": caller.org_id(), "id": id});
    let found: Option<Found> = caller.call("webhook_delivery", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such delivery"))?;
    let row = found.delivery;
    Ok(Json::ok(Delivery {
        message_id: message_id(&row.id),
        id: row.id,
        webhook_id: row.webhook_id,
        event_type: row.event_type,
        status: row.status,
        payload: row.payload,
        next_at: row.next_at,
        delivered_at: row.delivered_at,
        created_at: row.created_at,
        attempts: found.attempts.into_iter().map(Attempt::from).collect(),
    }))
}
