//! `PATCH /api/v1/deployments/{id}`

use crate::DeploymentsWrite;
use crate::model::{Deployment, check_variables};
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What may change beside the version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentPatch {
    /// All of its variables: those that are not named here go.
    variables: Map<String, Value>,
}

impl Check for DeploymentPatch {
    fn check(&self, c: &mut Checker) {
        check_variables(c, &self.variables);
    }
}

/// Changes the variables; runs that have begun go on with the ones before.
pub async fn handle(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<DeploymentPatch>,
) -> Result<Reply<Deployment>, Problem> {
    let args = json!({"id": id, "expect_version": expected, "variables": patch.variables});
    let command = Command::named("deployment_configure", "deployment", &id, args)
        .audit("deployment.configured", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
