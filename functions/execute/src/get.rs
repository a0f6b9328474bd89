//! `GET /api/v1/workflows/execute/{id}`

use crate::{WorkflowsRead, WorkflowsRun};
use nodeai_app::{Caller, PathId, Scope, clock};
use nodeai_auth::scope::covers;
use nodeai_http::{Problem, reply::Json};
use nodeai_runs::address::Addresses;
use nodeai_runs::model::{ForkedFrom, RunFailure, Stored, Usage, Waiting};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Execution {
    /// The run.
    pub execution_id: String,
    /// Its workflow, when it is a stored one.
    pub workflow_id: Option<String>,
    /// The workflow's version that ran.
    pub workflow_version: Option<i64>,
    /// The deployment that it came through.
    pub deployment_id: Option<String>,
    /// The deployment's own version then: what its history has under this number.
    pub deployment_version: Option<i64>,
    /// The deployment's environment then.
    pub environment: Option<String>,
    /// `vars` as the run had them: the document's under the deployment's. No secrets are among them.
    pub variables: Option<Value>,
    /// The run that it was forked from.
    pub forked_from: Option<ForkedFrom>,
    /// The run for whose failure it is the error workflow, begun since that one could not run its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_of: Option<String>,
    /// Its trace.
    pub trace_id: String,
    /// `queued`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// `sync`, `stream` or `queued`.
    pub mode: String,
    /// What it was given.
    pub inputs: Value,
    /// What it gave.
    pub outputs: Value,
    /// Tokens and cost.
    pub usage: Usage,
    /// What failed.
    pub error: Option<RunFailure>,
    /// What the run waits for, while it does.
    pub waits: Vec<Waiting>,
    /// Of a queued run: how often it was taken up.
    pub attempts: i64,
    /// Of a queued run: when it goes on at the latest, RFC 3339.
    pub due_at: Option<String>,
    /// Of a queued run that was given up: when, RFC 3339. `…/requeue` gives it back to the queue.
    pub dead_at: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
}

impl From<Stored> for Execution {
    fn from(stored: Stored) -> Self {
        let waits_in_queue = matches!(stored.status.as_str(), "queued" | "waiting");
        let due_us = stored.run_after_us.filter(|_| waits_in_queue);
        let usage = Usage::new(
            stored.prompt_tokens,
            stored.completion_tokens,
            stored.cost_pusd,
        );
        Self {
            execution_id: stored.id,
            workflow_id: stored.workflow_id,
            workflow_version: stored.workflow_version,
            deployment_id: stored.deployment_id,
            deployment_version: stored.deployment_version,
            environment: stored.environment,
            variables: stored.variables,
            forked_from: stored.forked_from,
            error_of: stored.error_of,
            trace_id: stored.trace_id,
            status: stored.status,
            mode: stored.mode,
            inputs: stored.inputs,
            outputs: stored.outputs,
            usage,
            error: stored.error,
            waits: stored.waits,
            attempts: stored.attempts,
            due_at: due_us.map(clock::rfc3339),
            dead_at: stored.dead_us.map(clock::rfc3339),
            created_at: stored.created_us.map(clock::rfc3339),
            started_at: stored.started_us.map(clock::rfc3339),
            finished_at: stored.finished_us.map(clock::rfc3339),
        }
    }
}

#[derive(Deserialize)]
struct Found {
    execution: Stored,
}

/// Says where webhooks are answered without a credential, to those who may answer them with theirs.
async fn add_addresses(caller: &Caller<WorkflowsRead>, execution: &mut Execution) {
    let addresses = Addresses::of(&caller.cx, &execution.execution_id).await;
    let webhooks = execution.waits.iter_mut();
    for wait in webhooks.filter(|wait| wait.kind == "webhook") {
        wait.url = addresses.url(&wait.node);
    }
}

/// One run.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
) -> Result<Json<Execution>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let found: Option<Found> = caller.call("run_get", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such run"))?;
    let mut execution = Execution::from(found.execution);
    if covers(&caller.session.principal.scopes, WorkflowsRun::NAME) {
        add_addresses(&caller, &mut execution).await;
    }
    Ok(Json::ok(execution))
}
