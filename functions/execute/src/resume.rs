//! `POST /api/v1/workflows/execute/{id}/resume`

use crate::WorkflowsRun;
use crate::get::Execution;
use nodeai_app::{Caller, PathId, Valid};
use nodeai_engine::check_form;
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use nodeai_runs::kick;
use nodeai_runs::model::{Stored, Waiting};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How an approval ends.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approved,
    /// Do not.
    Rejected,
}

/// An answer to a node that waits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// The node, as the run's `waits` name it.
    node: String,
    /// For an approval: `approved` or `rejected`.
    #[serde(default)]
    decision: Option<Decision>,
    /// What goes with it, by the node's form.
    #[serde(default)]
    data: Value,
}

impl Check for ResumeRequest {
    fn check(&self, c: &mut Checker) {
        c.length(&self.node, 1, 2_000, "/node");
    }
}

#[derive(Deserialize)]
struct Found {
    execution: Stored,
}

#[derive(Deserialize)]
struct Answer {
    outcome: String,
    #[serde(default)]
    execution: Option<Stored>,
}

/// Answers; the run goes on within about a second. The first answer counts.
pub async fn handle(
    caller: Caller<WorkflowsRun>,
    PathId(id): PathId,
    Valid(request): Valid<ResumeRequest>,
) -> Result<Json<Execution>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let found: Option<Found> = caller.call("run_get", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such run"))?;
    let wait = found
        .execution
        .waits
        .iter()
        .find(|wait| wait.node == request.node);
    let wait = wait.ok_or_else(|| Problem::conflict("the run does not wait at this node"))?;
    let answer = answer(&caller, wait, &request)?;
    let args = json!({"id": id, "org_id": caller.org_id(), "answer": answer});
    let stored: Answer = caller.call("run_answer", &args).await?;
    match (stored.outcome.as_str(), stored.execution) {
        ("answered", Some(execution)) => {
            if execution.status == "waiting" {
                kick(&caller.cx, &id);
            }
            Ok(Json::ok(execution.into()))
        }
        ("already", _) => Err(Problem::conflict("somebody has answered already")),
        ("forbidden", _) => Err(Problem::forbidden(
            "this caller may not answer for this run",
        )),
        ("missing", _) => Err(Problem::not_found("there is no such run")),
        _ => Err(Problem::conflict("the run does not wait at this node")),
    }
}

/// The node's output and handle. Errors: 400 for what does not fit the wait or its form.
fn answer(
    caller: &Caller<WorkflowsRun>,
    wait: &Waiting,
    request: &ResumeRequest,
) -> Result<Value, Problem> {
    let field = |pointer: &str, message: &str| {
        Problem::fields(vec![FieldError::body(pointer, "not_allowed", message)])
    };
    if let Some(form) = &wait.form {
        check_form(form, &request.data).map_err(|faults| {
            let faults = faults.into_iter();
            let fields =
                faults.map(|fault| FieldError::body(fault.pointer, &fault.code, fault.message));
            Problem::fields(fields.collect())
        })?;
    }
    let by = caller.session.user_id();
    match (wait.kind.as_str(), request.decision) {
        ("approval", Some(decision)) => Ok(json!({"node": wait.node, "handle": decision,
            "output": {"decision": decision, "data": request.data, "by": by}})),
        ("approval", None) => Err(field("/decision", "say approved or rejected")),
        ("webhook", None) => Ok(json!({"node": wait.node, "handle": "output",
            "output": {"data": request.data, "by": by}})),
        ("webhook", Some(_)) => Err(field("/decision", "goes with an approval")),
        _ => Err(Problem::conflict(
            "this node waits for a time, not for an answer",
        )),
    }
}
