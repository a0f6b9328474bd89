//! `POST /api/v1/rag-evaluation/evaluations/{id}/cancel`

use super::model::Evaluation;
use crate::EvaluationsRun;
use nodeai_app::{Caller, Command, PathId, Reply};
use nodeai_http::Problem;
use serde_json::json;

/// Ends an evaluation: nothing more is queued, and runs that are at work are cancelled. Results so far stay.
pub async fn handle(
    caller: Caller<EvaluationsRun>,
    PathId(id): PathId,
) -> Result<Reply<Evaluation>, Problem> {
    let args = json!({"id": id});
    let command = Command::named("evaluation_cancel", "evaluation", &id, args)
        .audit("evaluation.cancelled", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
