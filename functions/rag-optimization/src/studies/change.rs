//! Studies end, go away, and change their workflow.

use super::model::Study;
use crate::{OptimizationsRun, OptimizationsWrite};
use nodeai_app::{Caller, Command, Done, IfMatch, PathId, Reply};
use nodeai_http::Problem;
use serde_json::json;

/// Ends a study: its evaluations are cancelled, and the runs that are at work hear of it. One that has ended is not repeated any more.
pub async fn cancel(
    caller: Caller<OptimizationsRun>,
    PathId(id): PathId,
) -> Result<Reply<Study>, Problem> {
    let command = Command::named("study_cancel", "study", &id, json!({"id": id}))
        .audit("study.cancelled", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Removes a study that has ended, with its trials and evaluations. What it was applied to stays as it is.
pub async fn remove(
    caller: Caller<OptimizationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command =
        Command::named("study_remove", "study", &id, args).audit("study.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}

/// The winner becomes the workflow's next version. 409 without a winner, and when the workflow has changed since the study was made; the
/// caller needs `workflows:write`, too.
pub async fn apply(
    caller: Caller<OptimizationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<Study>, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("study_apply", "study", &id, args)
        .audit("study.applied", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// What was studied becomes the workflow's next version. 409 when the workflow has changed since `apply`.
pub async fn rollback(
    caller: Caller<OptimizationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<Study>, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("study_rollback", "study", &id, args)
        .audit("study.rolled_back", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
