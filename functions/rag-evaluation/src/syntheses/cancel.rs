//! `POST /api/v1/rag-evaluation/syntheses/{id}/cancel`

use super::model::Synthesis;
use crate::EvaluationsRun;
use nodeai_app::{Caller, Command, PathId, Reply};
use nodeai_http::Problem;
use serde_json::json;

/// Ends a synthesis: nothing more is asked, and no question comes into the dataset.
pub async fn handle(
    caller: Caller<EvaluationsRun>,
    PathId(id): PathId,
) -> Result<Reply<Synthesis>, Problem> {
    let command = Command::named("synthesis_cancel", "synthesis", &id, json!({"id": id}))
        .audit("synthesis.cancelled", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
