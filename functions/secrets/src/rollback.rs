//! `POST /api/v1/secrets/{id}/rollback`

use crate::SecretsWrite;
use crate::model::Secret;
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The version to use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Number of a version of this secret.
    number: i32,
}

impl Check for Rollback {
    fn check(&self, c: &mut Checker) {
        c.require(self.number > 0, "/number", "out_of_range", "from 1");
    }
}

/// Puts an earlier version into use; later ones stay.
pub async fn handle(
    caller: Caller<SecretsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Rollback>,
) -> Result<Reply<Secret>, Problem> {
    let args = json!({"secret_id": id, "expect_version": expected, "number": input.number});
    let command = Command::named("secret_rollback", "secret", &id, args)
        .audit("secret.rolled_back", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
