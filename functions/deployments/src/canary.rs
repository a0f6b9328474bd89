//! `POST /api/v1/deployments/{id}/canary`

use crate::DeploymentsWrite;
use crate::model::{Deployment, check_version};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A version for some.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// A version of its workflow; the current one unless given.
    #[serde(default)]
    version: Option<i32>,
    /// The share of the callers that gets it, 0 to 100; 0 ends the canary.
    percent: i32,
}

impl Check for Canary {
    fn check(&self, c: &mut Checker) {
        check_version(c, self.version);
        let holds = (0..=100).contains(&self.percent);
        c.require(holds, "/percent", "out_of_range", "0 to 100");
    }
}

/// Gives the version to a share of the callers. A caller always falls on the same side, and a larger share keeps those
/// who were in. `publish` gives it to everybody, `rollback` to nobody.
pub async fn handle(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Canary>,
) -> Result<Reply<Deployment>, Problem> {
    let args = json!({"id": id, "expect_version": expected, "version": input.version, "percent": input.percent});
    let command = Command::named("deployment_canary", "deployment", &id, args)
        .audit("deployment.canary_changed", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
