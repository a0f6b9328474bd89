//! `POST /api/v1/workflows/{id}/archive` and `…/unarchive`

use crate::WorkflowsWrite;
use crate::model::{BRIEF, WorkflowBrief};
use nodeai_app::{Caller, IfMatch, Op, PathId, Reply, Write, clock};
use nodeai_http::Problem;
use nodeai_store::tables::workflows;
use serde_json::json;

/// Puts the workflow into the archive: lists leave it out, and it does not run. It can still be read and changed.
pub async fn archive(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<WorkflowBrief>, Problem> {
    let now = clock::rfc3339(caller.cx.started_us);
    let write = set(&caller, &id, expected, Some(&now)).audit("workflow.archived", json!({}));
    caller.write(write).await.map(Reply::from)
}

/// Takes it out again.
pub async fn unarchive(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<WorkflowBrief>, Problem> {
    let write = set(&caller, &id, expected, None).audit("workflow.unarchived", json!({}));
    caller.write(write).await.map(Reply::from)
}

/// The archive is the owner's: an editor by share finds no such workflow here.
fn set(
    caller: &Caller<WorkflowsWrite>,
    id: &str,
    expected: Option<i64>,
    archived_at: Option<&str>,
) -> Write {
    let version = json!({"workflow_id": id, "author": caller.session.user_id()});
    Write::new(Op::Update, workflows::TABLE, "workflow", id)
        .row(json!({"archived_at": archived_at}))
        .expect_version(expected)
        .child("workflow_versions", version)
        .returning(BRIEF)
        .answer(200, &[], &json!({}))
}
