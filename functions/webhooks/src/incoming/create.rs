//! `POST /api/v1/webhooks/incoming`

use super::model::{AnswerMode, WithSecret};
use super::{rules, secret};
use crate::WebhooksWrite;
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use nodeai_webhook::inbound::Scheme;
use nodeai_webhook::inbound::delivery::IdFrom;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// An incoming webhook to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncomingInput {
    /// 1 to 200 characters.
    name: String,
    /// The workflow that runs.
    #[serde(default)]
    workflow_id: Option<String>,
    /// Its version; the current one at each request unless given.
    #[serde(default)]
    workflow_version: Option<i64>,
    /// The deployment that runs, in place of a workflow.
    #[serde(default)]
    deployment_id: Option<String>,
    /// What follows in the path, such as `orders/{id}`; nothing unless given.
    #[serde(default)]
    pattern: String,
    /// Methods that it takes; POST unless given.
    #[serde(default = "post")]
    methods: Vec<String>,
    /// How senders are verified. `none` has to be said.
    verification: Scheme,
    /// What the sender signs or authenticates with. Drawn unless given, but for senders that draw it themselves (`stripe`,
    /// `slack`).
    #[serde(default)]
    secret: Option<String>,
    /// How a request is answered: `accepted` unless given.
    #[serde(default)]
    answer_mode: AnswerMode,
    /// Where a delivery's id is; where the scheme has it unless given.
    #[serde(default)]
    delivery_id_from: Option<IdFrom>,
    /// How long the same delivery is known, seconds: 60 to 2592000, three days unless given.
    #[serde(default)]
    dedupe_window_s: Option<i64>,
    /// Requests per minute, 600 unless given.
    #[serde(default)]
    rate_per_minute: Option<i64>,
    /// Only verifies and keeps requests, and starts nothing.
    #[serde(default)]
    listen: bool,
}

fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

impl Check for IncomingInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        rules::target(
            c,
            self.workflow_id.as_deref(),
            self.workflow_version,
            self.deployment_id.as_deref(),
        );
        rules::pattern(c, &self.pattern);
        rules::methods(c, &self.methods);
        rules::verification(c, &self.verification);
        rules::delivery_id_from(c, self.delivery_id_from.as_ref());
        rules::window(c, self.dedupe_window_s);
        rules::rate(c, self.rate_per_minute);
    }
}

/// Makes a webhook under a path that nobody guesses. Runs act as whoever makes it.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    Valid(input): Valid<IncomingInput>,
) -> Result<Created<WithSecret>, Problem> {
    let id = clock::new_id();
    let scheme = (input.verification.kind(), input.verification.secret());
    let kept = secret::keep(&caller, &id, scheme, input.secret.as_deref())?;
    let row = json!({"name": input.name, "workflow_id": input.workflow_id, "workflow_version": input.workflow_version,
        "deployment_id": input.deployment_id, "path": clock::hex(&clock::random::<16>()), "pattern": input.pattern,
        "methods": input.methods, "verification": input.verification, "answer_mode": input.answer_mode,
        "delivery_id_from": input.delivery_id_from, "dedupe_window_s": input.dedupe_window_s.unwrap_or(259_200),
        "rate_per_minute": input.rate_per_minute.unwrap_or(600), "listen": input.listen});
    let args = json!({"id": id, "row": row, "secret": kept.row});
    let location = format!("/api/v1/webhooks/incoming/{id}");
    let mut command = Command::named("incoming_create", "webhook", &id, args)
        .audit("webhook.created", json!({"direction": "in"}))
        .answer(201, &[("location", &location)], &json!({}));
    if let Some(secret) = &kept.drawn {
        command = command.once("secret", secret);
    }
    caller.write(command).await.map(Created::from)
}
