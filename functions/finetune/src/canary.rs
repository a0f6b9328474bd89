//! `POST /api/v1/finetune/{id}/canary`

use crate::FinetuneWrite;
use crate::made::Made;
use crate::model::Job;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, PathId, Reply, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Who gets the model.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryInput {
    /// The deployment whose workflow asks the base model.
    deployment_id: String,
    /// The share of its callers that gets the new one, 1 to 100.
    percent: i32,
}

/// The canary, as the deployment has it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Begun {
    /// The deployment.
    deployment_id: String,
    /// The version of its workflow in which nodes ask the new model.
    canary_version: i64,
    /// The share of the callers that gets it.
    canary_percent: i64,
}

#[derive(Deserialize)]
struct Found {
    job: Job,
    workflow_id: String,
    workflow_version: i64,
    current: i64,
    definition: Value,
}

impl Check for CanaryInput {
    fn check(&self, c: &mut Checker) {
        let uuid = is_uuid(&self.deployment_id);
        c.require(uuid, "/deployment_id", "format", "must be a UUID");
        let share = (1..=100).contains(&self.percent);
        c.require(share, "/percent", "range", "must be from 1 to 100");
    }
}

/// Saves the deployment's workflow as a new version in which nodes that ask the base model ask the one that the job has made, and gives that
/// version to a share of the callers; the deployment's own routes say how it does, publish it or end it. The caller needs
/// `workflows:write` and `deployments:write`, too. 409 while there is no model, when no node asks the base, and when the workflow has changed
/// since it was deployed.
pub async fn handle(
    caller: Caller<FinetuneWrite>,
    PathId(id): PathId,
    Valid(input): Valid<CanaryInput>,
) -> Result<Reply<Begun>, Problem> {
    let place = json!({"id": id, "org_id": caller.org_id(), "deployment_id": input.deployment_id});
    let found: Option<Found> = caller.call("finetune_canary", &place).await?;
    let missing = || Problem::not_found("there is no such fine-tuning job, or no such deployment");
    let found = found.ok_or_else(missing)?;
    let made = Made::of(&found.job)?;
    if found.current != found.workflow_version {
        let detail =
            "the workflow has changed since it was deployed; publish its current version first";
        return Err(Problem::conflict(detail));
    }
    let definition = made.into_nodes(&found.definition);
    let none = || Problem::conflict(format!("no node of the workflow asks {}", made.base()));
    let definition = definition.ok_or_else(none)?;
    let message = format!("Asks {}", made.reference());
    let version = json!({"workflow_id": found.workflow_id, "message": message, "author": caller.session.user_id()});
    let save = json!({"id": found.workflow_id, "expect_version": found.current,
        "row": {"definition": definition, "updated_at": clock::rfc3339(caller.cx.started_us)},
        "children": [{"table": "workflow_versions", "row": version}]});
    let args = json!({"id": id, "deployment_id": input.deployment_id, "percent": input.percent, "save": save});
    let command = Command::named("finetune_canary", "deployment", &id, args)
        .audit(
            "finetune.canary",
            json!({"job_id": id, "model": made.reference()}),
        )
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
