//! `POST /api/v1/deployments/{id}/pause` and `…/resume`

use crate::DeploymentsWrite;
use crate::model::Deployment;
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply};
use nodeai_http::Problem;
use serde_json::json;

/// Refuses runs with a 409 from now on; those that have begun go on.
pub async fn pause(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<Deployment>, Problem> {
    let args = json!({"id": id, "expect_version": expected, "paused": true});
    let command = Command::named("deployment_pause", "deployment", &id, args)
        .audit("deployment.paused", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// Takes runs again.
pub async fn resume(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Reply<Deployment>, Problem> {
    let args = json!({"id": id, "expect_version": expected, "paused": false});
    let command = Command::named("deployment_pause", "deployment", &id, args)
        .audit("deployment.resumed", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
