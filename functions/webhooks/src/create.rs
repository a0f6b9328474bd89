//! `POST /api/v1/webhooks`

use crate::model::{NewWebhook, Signing};
use crate::{WebhooksWrite, rules, seal};
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// A webhook to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookInput {
    /// 1 to 200 characters.
    name: String,
    /// Where events go: https, and no private address.
    url: String,
    /// Which events; all unless given.
    #[serde(default)]
    event_types: Vec<String>,
    /// Only events of this workflow.
    #[serde(default)]
    workflow_id: Option<String>,
    /// Header fields that go along, at most 20; stored in clear, so none for credentials.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How messages are signed: `hmac_sha256` unless given.
    #[serde(default)]
    signing: Signing,
}

impl Check for WebhookInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        rules::url(c, &self.url);
        rules::event_types(c, &self.event_types);
        rules::workflow_id(c, self.workflow_id.as_deref());
        rules::headers(c, &self.headers);
    }
}

/// Makes a webhook with a key of its own, which only this answer shows.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    Valid(input): Valid<WebhookInput>,
) -> Result<Created<NewWebhook>, Problem> {
    rules::url_may_be_called(&caller.cx, &input.url).await?;
    let id = clock::new_id();
    let drawn = seal::draw(&caller, &id, input.signing)?;
    let row = json!({"name": input.name, "url": input.url, "event_types": input.event_types,
        "workflow_id": input.workflow_id, "headers": input.headers, "public_key": drawn.public_key});
    let args = json!({"id": id, "row": row, "secret": drawn.row});
    let location = format!("/api/v1/webhooks/{id}");
    let mut command = Command::named("webhook_create", "webhook", &id, args)
        .audit("webhook.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    if let Some(secret) = &drawn.secret {
        command = command.once("secret", secret);
    }
    caller.write(command).await.map(Created::from)
}
