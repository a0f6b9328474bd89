//! `PATCH /api/v1/webhooks/{id}`

use crate::mail::EmailInput;
use crate::model::Webhook;
use crate::{WebhooksWrite, rules};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid, clock};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookPatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Where events go: https, and no private address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Who gets them by e-mail, in place of those before; only where events go by e-mail already.
    #[serde(default, skip_serializing)]
    email: Option<EmailInput>,
    /// Which events; none are all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_types: Option<Vec<String>>,
    /// Only events of this workflow; null for all.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    workflow_id: Option<Option<String>>,
    /// Header fields that go along, in place of those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    /// On or off. What waits when it is turned off is cancelled, and can be replayed.
    #[serde(default, skip_serializing)]
    enabled: Option<bool>,
}

impl Check for WebhookPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if let Some(url) = &self.url {
            rules::url(c, url);
        }
        if let Some(email) = &self.email {
            email.check(c);
            let one = self.url.is_none();
            c.require(one, "/url", "invalid", "give either url or email");
        }
        rules::event_types(c, self.event_types.as_deref().unwrap_or_default());
        rules::workflow_id(
            c,
            self.workflow_id.iter().flatten().next().map(String::as_str),
        );
        if let Some(headers) = &self.headers {
            rules::headers(c, headers);
        }
    }
}

impl WebhookPatch {
    fn row(&self) -> Value {
        let mut row = json!(self);
        if let (Some(email), Some(members)) = (&self.email, row.as_object_mut()) {
            members.extend(email.row().as_object().cloned().unwrap_or_default());
        }
        if let Some(enabled) = self.enabled {
            row["disabled_at"] = match enabled {
                true => Value::Null,
                false => json!(clock::rfc3339(clock::now_us())),
            };
            row["disabled_reason"] = match enabled {
                true => Value::Null,
                false => json!("turned off by a caller"),
            };
        }
        row
    }
}

/// Changes a webhook, or turns it off or on.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<WebhookPatch>,
) -> Result<Reply<Webhook>, Problem> {
    if let Some(url) = &patch.url {
        rules::url_may_be_called(&caller.cx, url, "/url").await?;
    }
    if let Some(email) = &patch.email {
        rules::url_may_be_called(&caller.cx, &email.url(), "/email/base_url").await?;
    }
    let args = json!({"id": id, "expect_version": expected, "row": patch.row()});
    let command = Command::named("webhook_update", "webhook", &id, args)
        .audit("webhook.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
