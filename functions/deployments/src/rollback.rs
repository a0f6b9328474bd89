//! `POST /api/v1/deployments/{id}/rollback`

use crate::DeploymentsWrite;
use crate::model::{Deployment, check_version};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// How far back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// A version that has run here; the one before the running one unless given.
    #[serde(default)]
    version: Option<i32>,
}

impl Check for Rollback {
    fn check(&self, c: &mut Checker) {
        check_version(c, self.version);
    }
}

/// Everybody gets the version from before, at once; a canary ends. A second rollback goes back further.
pub async fn handle(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Rollback>,
) -> Result<Reply<Deployment>, Problem> {
    let args = json!({"id": id, "expect_version": expected, "version": input.version});
    let command = Command::named("deployment_rollback", "deployment", &id, args)
        .audit("deployment.rolled_back", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
