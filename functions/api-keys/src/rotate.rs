//! `POST /api/v1/api-keys/{id}/rotate`

use crate::KeysWrite;
use crate::create::{KeyMode, draw};
use crate::model::NewKey;
use nodeai_app::{Caller, Command, Created, IfMatch, PathId, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// How to rotate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Seconds that the old key goes on: 0 to 30 days, a day unless given.
    #[serde(default = "one_day")]
    overlap_s: u32,
    /// Prefix of the new key.
    #[serde(default)]
    mode: KeyMode,
}

fn one_day() -> u32 {
    86_400
}

impl Check for Rotation {
    fn check(&self, c: &mut Checker) {
        let holds = self.overlap_s <= 30 * 86_400;
        c.require(
            holds,
            "/overlap_s",
            "out_of_range",
            "0 to 2,592,000 seconds",
        );
    }
}

/// Issues a key with the same scopes and limits; the old one ends after the overlap.
pub async fn handle(
    caller: Caller<KeysWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Rotation>,
) -> Result<Created<NewKey>, Problem> {
    let (key, mode) = draw(input.mode)?;
    let new_id = clock::new_id();
    let args = json!({"id": id, "expect_version": expected, "overlap_s": input.overlap_s,
        "key": {"id": new_id, "prefix": mode.prefix(), "key_hash": key.hash(), "last4": key.last4()}});
    let location = format!("/api/v1/api-keys/{new_id}");
    let command = Command::named("rotate_key", "API key", &id, args)
        .once("key", key.expose())
        .audit("api_key.rotated", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}
