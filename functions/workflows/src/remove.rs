//! `DELETE /api/v1/workflows/{id}`

use crate::WorkflowsWrite;
use nodeai_app::{Caller, IfMatch, Op, PathId, Write};
use nodeai_http::reply::Response;
use nodeai_http::{IntoReply, Problem, openapi::Describe};
use nodeai_store::tables::workflows;
use serde_json::Value;

/// 204.
pub struct Deleted(Response);

impl IntoReply for Deleted {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.empty_response("204", "Deleted; runs and traces stay");
    }
}

/// Deletes the workflow; its runs and traces stay.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    let write = Write::new(Op::Delete, workflows::TABLE, "workflow", &id)
        .expect_version(expected)
        .audit("workflow.deleted", Value::Null);
    caller.write(write).await.map(Deleted)
}
