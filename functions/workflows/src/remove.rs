//! `DELETE /api/v1/workflows/{id}`

use crate::WorkflowsWrite;
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Write};
use nodeai_http::Problem;
use nodeai_store::tables::workflows;
use serde_json::json;

/// Deletes the workflow; its runs and traces stay.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, workflows::TABLE, "workflow", &id)
        .expect_version(expected)
        .audit("workflow.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
