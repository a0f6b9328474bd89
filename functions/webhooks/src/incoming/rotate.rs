//! `POST /api/v1/webhooks/incoming/{id}/rotate`

use super::model::WithSecret;
use super::secret;
use crate::WebhooksWrite;
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use nodeai_webhook::inbound::scheme::Kind;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// How to rotate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRotation {
    /// The scheme that the webhook has: what its secrets look like depends on it.
    scheme: Kind,
    /// The new secret; drawn unless given, but for senders that draw it themselves.
    #[serde(default)]
    secret: Option<String>,
    /// Hours that the secret before is taken too: 0 to 720, 24 unless given.
    #[serde(default = "a_day")]
    overlap_hours: u32,
}

fn a_day() -> u32 {
    24
}

impl Check for SecretRotation {
    fn check(&self, c: &mut Checker) {
        let holds = self.overlap_hours <= 720;
        c.require(holds, "/overlap_hours", "out_of_range", "0 to 720 hours");
        let has = self.scheme != Kind::None;
        c.require(has, "/scheme", "not_allowed", "there is nothing to rotate");
    }
}

/// Takes a new secret. Until the overlap is over requests with either of the two are taken.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<SecretRotation>,
) -> Result<Reply<WithSecret>, Problem> {
    let scheme = (input.scheme, input.scheme.secret());
    let kept = secret::keep(&caller, &id, scheme, input.secret.as_deref())?;
    let args = json!({"id": id, "expect_version": expected, "scheme": input.scheme, "secret": kept.row,
        "overlap_s": u64::from(input.overlap_hours) * 3_600});
    let mut command = Command::named("incoming_rotate", "webhook", &id, args)
        .audit("webhook.rotated", json!({}))
        .answer(200, &[], &json!({}));
    if let Some(drawn) = &kept.drawn {
        command = command.once("secret", drawn);
    }
    caller.write(command).await.map(Reply::from)
}
