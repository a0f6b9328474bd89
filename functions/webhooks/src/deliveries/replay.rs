//! `POST /api/v1/webhooks/deliveries/{id}/replay`, `POST /api/v1/webhooks/{id}/replay`

use super::{Queued, Status};
use crate::WebhooksRun;
use nodeai_app::{Caller, Command, PathId, Reply, Valid, clock};
use nodeai_http::{Check, Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Delivers once more, or at once what waits. The message keeps its id: who has taken it can tell.
pub async fn one(
    caller: Caller<WebhooksRun>,
    PathId(id): PathId,
) -> Result<Reply<Queued, 202>, Problem> {
    let location = format!("/api/v1/webhooks/deliveries/{id}");
    let command = Command::named("webhook_replay", "delivery", &id, json!({"id": id}))
        .audit("webhook_delivery.replayed", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// What to deliver once more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Made from this time on (RFC 3339); a day ago unless given.
    #[serde(default)]
    from: Option<String>,
    /// Made before this time (RFC 3339); now unless given.
    #[serde(default)]
    to: Option<String>,
    /// `delivered`, `failed` or `cancelled`; the last two unless given.
    #[serde(default = "not_taken")]
    statuses: Vec<Status>,
}

fn not_taken() -> Vec<Status> {
    vec![Status::Failed, Status::Cancelled]
}

impl Check for Range {
    fn check(&self, c: &mut Checker) {
        for (pointer, text) in [("/from", &self.from), ("/to", &self.to)] {
            let holds = text
                .as_deref()
                .is_none_or(|t| clock::parse_rfc3339(t).is_some());
            c.require(holds, pointer, "format", "must be a time in RFC 3339");
        }
        c.require(
            !self.statuses.is_empty(),
            "/statuses",
            "length",
            "at least one",
        );
        for (i, status) in self.statuses.iter().enumerate() {
            if matches!(status, Status::Pending | Status::Delivering) {
                let pointer = format!("/statuses/{i}");
                let detail = "what has not ended is not delivered once more";
                c.report(FieldError::body(pointer, "invalid", detail));
            }
        }
    }
}

/// How much is delivered once more.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Replayed {
    /// Deliveries that wait again: the oldest 1,000.
    replayed: i64,
    /// Whether there may be more; ask again.
    more: bool,
}

/// Delivers once more what was made in a time and has ended so.
pub async fn range(
    caller: Caller<WebhooksRun>,
    PathId(id): PathId,
    Valid(range): Valid<Range>,
) -> Result<Reply<Replayed, 202>, Problem> {
    let now_us = clock::now_us();
    let at =
        |text: Option<&str>, otherwise| text.and_then(clock::parse_rfc3339).unwrap_or(otherwise);
    let args = json!({"id": id, "from_us": at(range.from.as_deref(), now_us - 86_400_000_000),
        "to_us": at(range.to.as_deref(), now_us), "statuses": range.statuses});
    let command = Command::named("webhook_replay_range", "webhook", &id, args)
        .audit("webhook.replayed", json!({}))
        .answer(202, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
