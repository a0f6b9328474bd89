//! `DELETE /api/v1/deployments/{id}`

use crate::DeploymentsWrite;
use crate::model::deployments;
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Write};
use nodeai_http::Problem;
use serde_json::json;

/// Removes the deployment with its history. Its runs stay, and the audit log says what it was.
pub async fn handle(
    caller: Caller<DeploymentsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, deployments::TABLE, "deployment", &id)
        .expect_version(expected)
        .audit("deployment.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
