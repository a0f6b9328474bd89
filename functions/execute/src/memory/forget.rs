//! `DELETE /api/v1/workflows/execute/memory/{id}`

use crate::WorkflowsRun;
use nodeai_app::{Caller, Command, Done, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Forgets a conversation. The runs that it was said in stay.
pub async fn handle(caller: Caller<WorkflowsRun>, PathId(id): PathId) -> Result<Done, Problem> {
    let command = Command::named("memory_forget", "session", &id, json!({"id": id}))
        .audit("memory.forgotten", json!({}));
    caller.write(command).await.map(Done::from)
}
