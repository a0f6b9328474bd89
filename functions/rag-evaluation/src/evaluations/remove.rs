//! `DELETE /api/v1/rag-evaluation/evaluations/{id}`

use crate::EvaluationsWrite;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Removes an evaluation that has ended, with its results and labels; its runs and traces stay.
pub async fn handle(
    caller: Caller<EvaluationsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("evaluation_remove", "evaluation", &id, args)
        .audit("evaluation.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}
