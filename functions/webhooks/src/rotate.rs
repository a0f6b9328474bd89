//! `POST /api/v1/webhooks/{id}/rotate`

use crate::model::{NewWebhook, Signing};
use crate::{WebhooksWrite, seal};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// How to rotate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Hours that the key before signs too: 0 to 720, 24 unless given.
    #[serde(default = "a_day")]
    overlap_hours: u32,
    /// How messages are signed from now on: `hmac_sha256` unless given.
    #[serde(default)]
    signing: Signing,
}

fn a_day() -> u32 {
    24
}

impl Check for Rotation {
    fn check(&self, c: &mut Checker) {
        let holds = self.overlap_hours <= 720;
        c.require(holds, "/overlap_hours", "out_of_range", "0 to 720 hours");
    }
}

/// Draws a new key, which only this answer shows. Until the overlap is over messages have a signature of each key.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Rotation>,
) -> Result<Reply<NewWebhook>, Problem> {
    let drawn = seal::draw(&caller, &id, input.signing)?;
    let args = json!({"id": id, "expect_version": expected, "secret": drawn.row, "public_key": drawn.public_key,
        "overlap_s": u64::from(input.overlap_hours) * 3_600});
    let mut command = Command::named("webhook_rotate", "webhook", &id, args)
        .audit("webhook.rotated", json!({}))
        .answer(200, &[], &json!({}));
    if let Some(secret) = &drawn.secret {
        command = command.once("secret", secret);
    }
    caller.write(command).await.map(Reply::from)
}
