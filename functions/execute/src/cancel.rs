//! `POST /api/v1/workflows/execute/{id}/cancel`

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

/// Ends what waits at once; what runs ends within about a second. A run that has ended stays as it is.
pub async fn handle(
    caller: Caller<WorkflowsRun>,
    PathId(id): PathId,
) -> Result<Json<Execution>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let answer: Answer = caller.call("run_cancel", &args).await?;
    match (answer.outcome.as_str(), answer.execution) {
        ("forbidden", _) => Err(Problem::forbidden("this caller may not cancel this run")),
        (_, Some(execution)) => {
            if execution.status == "waiting" {
                // Somebody has to end it.
                kick(&caller.cx, &id);
            }
            Ok(Json::ok(execution.into()))
        }
        _ => Err(Problem::not_found("there is no such run")),
    }
}
