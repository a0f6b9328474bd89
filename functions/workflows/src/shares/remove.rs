//! `DELETE /api/v1/workflows/{id}/shares/{share_id}`

use super::write;
use crate::WorkflowsWrite;
use crate::path::ShareId;
use nodeai_app::{Caller, Done, IfMatch, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Ends the share, at once.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(workflow_id): PathId,
    ShareId(id): ShareId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"op": "delete", "expect_version": expected});
    let command = write(&workflow_id, &id, args)
        .audit("workflow.unshared", json!({"workflow_id": workflow_id}));
    caller.write(command).await.map(Done::from)
}
