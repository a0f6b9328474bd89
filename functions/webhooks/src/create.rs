//! `POST /api/v1/webhooks`

use crate::mail::{EmailInput, USUAL_EVENTS};
use crate::model::{NewWebhook, Signing};
use crate::{WebhooksWrite, rules, seal};
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A webhook to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookInput {
    /// 1 to 200 characters.
    name: String,
    /// Where events go: https, and no private address. Either this or `email`.
    #[serde(default)]
    url: Option<String>,
    /// Who gets them by e-mail, which is not signed.
    #[serde(default)]
    email: Option<EmailInput>,
    /// Which events; unless given all of them to a URL, and alerts and thresholds of budgets by e-mail.
    #[serde(default)]
    event_types: Option<Vec<String>>,
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
        let one = self.url.is_some() != self.email.is_some();
        c.require(one, "/url", "required", "give either url or email");
        if let Some(url) = &self.url {
            rules::url(c, url);
        }
        if let Some(email) = &self.email {
            email.check(c);
            let none = self.headers.is_empty();
            let detail = "e-mails have none of their own";
            c.require(none, "/headers", "unsupported", detail);
        }
        rules::event_types(c, self.event_types.as_deref().unwrap_or_default());
        rules::workflow_id(c, self.workflow_id.as_deref());
        rules::headers(c, &self.headers);
    }
}

impl WebhookInput {
    /// What is called, and which member says so.
    fn called(&self) -> (String, &'static str) {
        match (&self.url, &self.email) {
            (_, Some(email)) => (email.url(), "/email/base_url"),
            (url, None) => (url.clone().unwrap_or_default(), "/url"),
        }
    }

    fn row(&self, public_key: Option<String>) -> Value {
        let usual: &[&str] = match self.email {
            Some(_) => &USUAL_EVENTS,
            None => &[],
        };
        let given = self.event_types.as_ref().map(|types| json!(types));
        let mut row = json!({"name": self.name, "url": self.url, "event_types": given.unwrap_or(json!(usual)),
            "workflow_id": self.workflow_id, "headers": self.headers, "public_key": public_key});
        if let (Some(email), Some(members)) = (&self.email, row.as_object_mut()) {
            members.insert("channel".to_owned(), json!("email"));
            members.extend(email.row().as_object().cloned().unwrap_or_default());
        }
        row
    }
}

/// Makes a webhook with a key of its own, which only this answer shows, or one that sends e-mails.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    Valid(input): Valid<WebhookInput>,
) -> Result<Created<NewWebhook>, Problem> {
    let (url, pointer) = input.called();
    rules::url_may_be_called(&caller.cx, &url, pointer).await?;
    let id = clock::new_id();
    let drawn = match input.email {
        Some(_) => None,
        None => Some(seal::draw(&caller, &id, input.signing)?),
    };
    let public_key = drawn.as_ref().and_then(|drawn| drawn.public_key.clone());
    let row = input.row(public_key);
    let key = drawn.as_ref().map(|drawn| &drawn.row);
    let args = json!({"id": id, "row": row, "secret": key});
    let location = format!("/api/v1/webhooks/{id}");
    let mut command = Command::named("webhook_create", "webhook", &id, args)
        .audit("webhook.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    if let Some(secret) = drawn.as_ref().and_then(|drawn| drawn.secret.as_ref()) {
        command = command.once("secret", secret);
    }
    caller.write(command).await.map(Created::from)
}
