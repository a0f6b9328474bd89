//! `POST /api/v1/workflows/execute`

use crate::WorkflowsRun;
use crate::model::RunRequest;
use nodeai_app::{Caller, Valid, clock};
use nodeai_http::Problem;
use nodeai_runs::{Ask, BudgetInput, Reply, TraceInput, plan, run};
use serde_json::json;

/// Runs a stored workflow or a definition. A definition in the request is judged before anything is written.
pub async fn handle(
    caller: Caller<WorkflowsRun>,
    Valid(request): Valid<RunRequest>,
) -> Result<Reply, Problem> {
    let ready = match &request.definition {
        Some(definition) => Some(plan(&caller, definition, request.inputs.clone()).await?),
        None => None,
    };
    let mode = request.mode(clock::now_us());
    let ask = Ask {
        function: "run_start",
        what: "workflow, or not that version of it",
        target: json!({"workflow_id": request.workflow_id, "version": request.version,
            "definition": request.definition}),
        ready,
        inputs: request.inputs,
        mode,
        budget: request.budget.map(BudgetInput::limit).unwrap_or_default(),
        labels: request.trace.map(TraceInput::labels).unwrap_or_default(),
        private: false,
    };
    run(caller, ask).await
}
