//! `POST /api/v1/workflows/execute/{id}/requeue`

use crate::WorkflowsRun;
use crate::get::Execution;
use nodeai_app::{Caller, PathId};
use nodeai_http::{Problem, reply::Json};
use nodeai_runs::{kick, model::Stored};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Answer {
    outcome: String,
    #[serde(default)]
    execution: Option<Stored>,
}

/// Gives a run that was given up (`dead_at`) back to the queue: it goes on from its last finished step.
pub async fn handle(
    caller: Caller<WorkflowsRun>,
    PathId(id): PathId,
) -> Result<Json<Execution>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let answer: Answer = caller.call("run_requeue", &args).await?;
    match (answer.outcome.as_str(), answer.execution) {
        ("requeued", Some(execution)) => {
            kick(&caller.cx, &id);
            Ok(Json::ok(execution.into()))
        }
        ("not_dead", _) => Err(Problem::conflict(
            "only a run that the queue gave up can be given back to it",
        )),
        ("forbidden", _) => Err(Problem::forbidden("this caller may not run this again")),
        _ => Err(Problem::not_found("there is no such run")),
    }
}
