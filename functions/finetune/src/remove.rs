//! `DELETE /api/v1/finetune/{id}`

use crate::FinetuneWrite;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Removes a job that has ended. Its model and its files stay at the provider.
pub async fn handle(
    caller: Caller<FinetuneWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("finetune_remove", "finetune_job", &id, args)
        .audit("finetune.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}
