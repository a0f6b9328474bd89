//! Starting a run: one statement makes the execution, claims the idempotency key and loads the workflow.

use crate::WorkflowsRun;
use crate::model::{RunRequest, RunResult, Stored};
use crate::plan::{Plan, plan};
use nodeai_app::{Caller, clock, errors::log, write::idempotency};
use nodeai_http::Problem;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How long a run counts as alive without a sign of life, µs.
const LEASE_US: i64 = 60_000_000;

/// A run that may begin.
pub struct Started {
    /// The execution's id.
    pub execution_id: String,
    /// The stored workflow's id.
    pub workflow_id: Option<String>,
    /// The workflow's name; empty for a definition that is not stored.
    pub name: String,
    /// What to run.
    pub plan: Plan,
}

/// Either a run that begins, or the answer that a repeated request gets again.
pub enum Begin {
    /// Go.
    Run(Box<Started>),
    /// This request was made before.
    Replay(Box<RunResult>),
}

#[derive(Deserialize)]
struct Answer {
    outcome: String,
    #[serde(default)]
    execution: Option<Stored>,
    #[serde(default)]
    workflow: Option<StoredWorkflow>,
}

#[derive(Deserialize)]
struct StoredWorkflow {
    id: String,
    name: String,
    definition: Value,
    #[serde(default)]
    archived: bool,
}

impl StoredWorkflow {
    fn plan(&self, inputs: Map<String, Value>) -> Result<Plan, Problem> {
        match self.archived {
            true => Err(Problem::conflict(
                "the workflow is in the archive, where nothing runs; take it out first",
            )),
            false => plan(&self.definition, inputs),
        }
    }
}

/// Starts the run. What cannot run leaves nothing behind.
pub async fn start(caller: &Caller<WorkflowsRun>, request: RunRequest) -> Result<Begin, Problem> {
    let execution_id = clock::new_id();
    // A definition in the request is judged before anything is written.
    let ad_hoc = request.definition.as_ref();
    let ready = ad_hoc
        .map(|d| plan(d, request.inputs.clone()))
        .transpose()?;
    let args = json!({
        "execution": {
            "id": execution_id, "org_id": caller.org_id(), "workflow_id": request.workflow_id,
            "version": request.version, "trace_id": caller.cx.trace.trace_id,
            "mode": if request.stream { "stream" } else { "sync" },
            "inputs": request.inputs, "definition": ad_hoc, "started_us": caller.cx.started_us,
            // Renewed every second while it runs; housekeeping fails the runs of instances that died.
            "lease_us": LEASE_US,
        },
        "idempotency": idempotency(&caller.cx)?,
    });
    let answer: Answer = caller.call("run_start", &args).await?;
    match (answer.outcome.as_str(), answer.execution) {
        ("started", _) => {}
        ("replayed", Some(execution)) => return replay(execution),
        (other, _) => return Err(refusal(other)),
    }
    let (workflow_id, name, plan) = match (ready, answer.workflow) {
        (Some(ready), _) => (None, String::new(), ready),
        (None, Some(workflow)) => {
            let made = workflow.plan(request.inputs);
            let ready = or_abandon(caller, &execution_id, made).await?;
            (Some(workflow.id), workflow.name, ready)
        }
        (None, None) => return Err(refusal("missing")),
    };
    Ok(Begin::Run(Box::new(Started {
        execution_id,
        workflow_id,
        name,
        plan,
    })))
}

/// A stored workflow whose inputs do not fit must not leave an execution behind.
async fn or_abandon(
    caller: &Caller<WorkflowsRun>,
    execution_id: &str,
    made: Result<Plan, Problem>,
) -> Result<Plan, Problem> {
    if made.is_err() {
        let args = json!({"id": execution_id, "org_id": caller.org_id()});
        caller.call::<Value>("run_abandon", &args).await?;
    }
    made
}

fn replay(execution: Stored) -> Result<Begin, Problem> {
    if execution.finished_us.is_none() {
        let id = &execution.id;
        return Err(Problem::conflict(format!(
            "the first request with this Idempotency-Key is still running as execution {id}"
        ))
        .retry_after(1));
    }
    Ok(Begin::Replay(Box::new(execution.result())))
}

fn refusal(outcome: &str) -> Problem {
    match outcome {
        "missing" => Problem::not_found("there is no such workflow, or not that version of it"),
        "key_reused" => {
            Problem::key_reused("this Idempotency-Key was used for a request with other content")
        }
        "forbidden" => Problem::forbidden("this caller may not run that"),
        other => {
            log("run_start", other);
            Problem::internal("the run had an outcome that was not expected")
        }
    }
}
