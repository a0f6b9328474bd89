//! `PATCH /api/v1/webhooks/incoming/{id}`

use super::model::{AnswerMode, WithSecret};
use super::{rules, secret};
use crate::WebhooksWrite;
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid, clock};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use nodeai_webhook::inbound::Scheme;
use nodeai_webhook::inbound::delivery::IdFrom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What may change; absent fields stay as they are.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncomingPatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The workflow that runs, in place of what ran before.
    #[serde(default, skip_serializing)]
    workflow_id: Option<String>,
    /// Its version; goes with `workflow_id`.
    #[serde(default, skip_serializing)]
    workflow_version: Option<i64>,
    /// The deployment that runs, in place of what ran before.
    #[serde(default, skip_serializing)]
    deployment_id: Option<String>,
    /// What follows in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    /// Methods that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
    /// How senders are verified. The secrets before are forgotten; what is there then is `secret`, or drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verification: Option<Scheme>,
    /// Goes with `verification`; by itself a secret is changed by `…/rotate`.
    #[serde(default, skip_serializing)]
    secret: Option<String>,
    /// How a request is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer_mode: Option<AnswerMode>,
    /// Where a delivery's id is; null for where the scheme has it.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    delivery_id_from: Option<Option<IdFrom>>,
    /// How long the same delivery is known, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dedupe_window_s: Option<i64>,
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_per_minute: Option<i64>,
    /// Only verifies and keeps requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listen: Option<bool>,
    /// On or off. Whoever turns it on is who its runs act as from then on.
    #[serde(default, skip_serializing)]
    enabled: Option<bool>,
}

impl Check for IncomingPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        if self.changes_target() {
            rules::target(
                c,
                self.workflow_id.as_deref(),
                self.workflow_version,
                self.deployment_id.as_deref(),
            );
        }
        if let Some(pattern) = &self.pattern {
            rules::pattern(c, pattern);
        }
        if let Some(methods) = &self.methods {
            rules::methods(c, methods);
        }
        if let Some(scheme) = &self.verification {
            rules::verification(c, scheme);
        }
        let goes = self.secret.is_none() || self.verification.is_some();
        c.require(goes, "/secret", "not_allowed", "goes with verification");
        let from = self.delivery_id_from.as_ref();
        rules::delivery_id_from(c, from.and_then(Option::as_ref));
        rules::window(c, self.dedupe_window_s);
        rules::rate(c, self.rate_per_minute);
    }
}

impl IncomingPatch {
    fn changes_target(&self) -> bool {
        self.workflow_id.is_some()
            || self.workflow_version.is_some()
            || self.deployment_id.is_some()
    }

    fn row(&self) -> Value {
        let mut row = json!(self);
        if self.changes_target() {
            row["workflow_id"] = json!(self.workflow_id);
            row["workflow_version"] = json!(self.workflow_version);
            row["deployment_id"] = json!(self.deployment_id);
        }
        if let Some(enabled) = self.enabled {
            let off = (!enabled).then(|| clock::rfc3339(clock::now_us()));
            row["disabled_reason"] = json!(off.as_ref().map(|_| "turned off by a caller"));
            row["disabled_at"] = json!(off);
        }
        row
    }
}

/// Changes a webhook, or turns it off or on.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<IncomingPatch>,
) -> Result<Reply<WithSecret>, Problem> {
    let kept = match &patch.verification {
        Some(scheme) => {
            let scheme = (scheme.kind(), scheme.secret());
            Some(secret::keep(&caller, &id, scheme, patch.secret.as_deref())?)
        }
        None => None,
    };
    let secret = kept.as_ref().map(|kept| &kept.row);
    let args = json!({"id": id, "expect_version": expected, "row": patch.row(), "forget": kept.is_some(),
        "secret": secret});
    let mut command = Command::named("incoming_update", "webhook", &id, args)
        .audit("webhook.updated", json!({}))
        .answer(200, &[], &json!({}));
    if let Some(drawn) = kept.as_ref().and_then(|kept| kept.drawn.as_ref()) {
        command = command.once("secret", drawn);
    }
    caller.write(command).await.map(Reply::from)
}
