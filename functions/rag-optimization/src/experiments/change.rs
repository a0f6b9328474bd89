//! Experiments end, go away, and change their knowledge base.

use super::model::Experiment;
use crate::{OptimizationsRun, OptimizationsWrite};
use nodeai_app::{Caller, Command, Done, IfMatch, PathId, Reply};
use nodeai_http::Problem;
use serde_json::json;

/// Ends an experiment: nothing more is queued, and runs that are at work are cancelled.
pub async fn cancel(
    caller: Caller<OptimizationsRun>,
    PathId(id): PathId,
) -> Result<Reply<Experiment>, Problem> {
    let command = Command::named("experiment_cancel", "experiment", &id, json!({"id": id}))
        .audit("experiment.cancelled", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Removes an experiment that has ended, with its trials. What it was applied to stays as it is.
pub async fn remove(
    caller: Caller<OptimizationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("experiment_remove", "experiment", &id, args)
        .audit("experiment.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}

/// The winner's settings become the knowledge base's default search. 409 without a winner, and when the base's search settings or
/// index have changed since the experiment was made.
pub async fn apply(
    caller: Caller<OptimizationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<Experiment>, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("experiment_apply", "experiment", &id, args)
        .audit("experiment.applied", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// The knowledge base has the search settings again that it had before `apply`. 409 when they have changed since.
pub async fn rollback(
    caller: Caller<OptimizationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<Experiment>, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("experiment_rollback", "experiment", &id, args)
        .audit("experiment.rolled_back", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
