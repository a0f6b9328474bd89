//! `POST /api/v1/deployments`

use crate::DeploymentsWrite;
use crate::model::{Deployment, Environment, check_slug, check_variables, check_version};
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What to deploy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeploymentInput {
    /// 1 to 100 lower-case letters, digits and `-`; once in each environment.
    slug: String,
    /// The workflow (UUID).
    workflow_id: String,
    /// Its version; the current one unless given.
    #[serde(default)]
    version: Option<i32>,
    /// Where.
    environment: Environment,
    /// What templates see as `vars`, over those of the workflow's document; at most 64 KiB.
    #[serde(default)]
    variables: Map<String, Value>,
}

impl Check for DeploymentInput {
    fn check(&self, c: &mut Checker) {
        check_slug(c, &self.slug);
        let uuid = is_uuid(&self.workflow_id);
        c.require(uuid, "/workflow_id", "format", "must be a UUID");
        check_version(c, self.version);
        check_variables(c, &self.variables);
    }
}

/// Makes the deployment.
pub async fn handle(
    caller: Caller<DeploymentsWrite>,
    Valid(input): Valid<DeploymentInput>,
) -> Result<Created<Deployment>, Problem> {
    let id = clock::new_id();
    let args = json!({"id": id, "slug": input.slug, "workflow_id": input.workflow_id, "version": input.version,
        "environment": input.environment, "variables": input.variables});
    let location = format!("/api/v1/deployments/{id}");
    let command = Command::named("deployment_create", "deployment", &id, args)
        .audit("deployment.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}
