//! `POST /api/v1/deployments/{id}/publish`

use crate::DeploymentsWrite;
use crate::model::{Deployment, check_version};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// What to publish.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// A version of its workflow; the current one unless given.
    #[serde(default)]
    version: Option<i32>,
}

impl Check for Publication {
    fn check(&self, c: &mut Checker) {
        check_version(c, self.version);
    }
}

/// Everybody gets this version from now on; a canary ends.
pub async fn handle(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Publication>,
) -> Result<Reply<Deployment>, Problem> {
    let args = json!({"id": id, "expect_version": expected, "version": input.version});
    let command = Command::named("deployment_publish", "deployment", &id, args)
        .audit("deployment.published", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
