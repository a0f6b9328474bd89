//! `POST /api/v1/deployments/{id}/promote`

use crate::DeploymentsWrite;
use crate::model::{Deployment, Environment};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Where to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// A later environment: `staging` or `prod`.
    to: Environment,
}

impl Check for Promotion {
    fn check(&self, c: &mut Checker) {
        let holds = self.to != Environment::Dev;
        c.require(holds, "/to", "one_of", "staging or prod");
    }
}

/// The running version runs under the same slug there, too; the answer is the deployment there. It is made when it is
/// not there; its variables, its secrets and whether it is paused stay its own.
pub async fn handle(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Promotion>,
) -> Result<Reply<Deployment>, Problem> {
    let args =
        json!({"id": id, "expect_version": expected, "to": input.to, "new_id": clock::new_id()});
    let command = Command::named("deployment_promote", "deployment", &id, args)
        .audit("deployment.promoted", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
