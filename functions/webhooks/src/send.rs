//! `POST /api/v1/webhooks/{id}/send`

use crate::WebhooksRun;
use crate::deliveries::Queued;
use crate::model::webhooks as col;
use nodeai_app::{Caller, Command, PathId, Reply, Valid, clock};
use nodeai_guard::EGRESS_FIELD;
use nodeai_http::{Check, Checker, Problem};
use nodeai_store::{Filter, Select};
use nodeai_webhook::events::is_own;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

/// Most bytes of an event's data.
const MOST_BYTES: usize = 256 * 1024;

/// An event of the caller's own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendInput {
    /// Words with full stops between them, such as `order.shipped`; none of the platform's own types.
    event_type: String,
    /// What it tells, at most 256 KiB.
    data: Map<String, Value>,
}

/// Where a webhook sends to.
#[derive(Deserialize)]
struct Place {
    url: String,
}

impl Check for SendInput {
    fn check(&self, c: &mut Checker) {
        c.require(
            is_own(&self.event_type),
            "/event_type",
            "format",
            "words of letters, digits and _ with full stops between them, 128 characters at most, none of the catalogue's types",
        );
        let size = json!(self.data).to_string().len();
        c.require(size <= MOST_BYTES, "/data", "length", "at most 256 KiB");
    }
}

/// Sends an event to this webhook, whatever it subscribes to: signed, tried again and logged as every other.
pub async fn handle(
    caller: Caller<WebhooksRun>,
    PathId(id): PathId,
    Valid(input): Valid<SendInput>,
) -> Result<Reply<Queued, 202>, Problem> {
    if caller.cx.headers.contains_key(EGRESS_FIELD) {
        may_send(&caller, &id).await?;
    }
    let delivery_id = clock::new_id();
    let location = format!("/api/v1/webhooks/deliveries/{delivery_id}");
    let args = json!({"id": id, "delivery_id": delivery_id, "event_type": input.event_type, "data": input.data});
    let command = Command::named("webhook_send", "webhook", &id, args)
        .audit("webhook.sent", json!({"event_type": input.event_type}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Refuses a webhook whose host the calling run's workflow does not list. Errors: 403; 404.
async fn may_send(caller: &Caller<WebhooksRun>, id: &str) -> Result<(), Problem> {
    let query = Select::from(col::TABLE, &[col::url])
        .filter(Filter::Eq(col::id, id.to_owned()))
        .filter(Filter::Eq(col::direction, "out".to_owned()));
    let webhook: Place = caller.find(query, "webhook").await?;
    let url = Url::parse(&webhook.url);
    let url = url.map_err(|error| Problem::conflict(format!("the webhook's URL: {error}")))?;
    let listed = caller.cx.guard().await.check_listed(&url);
    listed.map_err(|refused| Problem::forbidden(refused.to_string()))
}
