//! `DELETE /api/v1/files/uploads/{id}`

use super::{Protocol, TusReply, tagged};
use crate::FilesWrite;
use crate::upload::outcome::{self, Outcome};
use http::StatusCode;
use nodeai_app::{Caller, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Gives an upload up; what it has held back of the quotas is free at once.
pub async fn handle(
    caller: Caller<FilesWrite>,
    _: Protocol,
    PathId(id): PathId,
) -> Result<TusReply, Problem> {
    let args = json!({"org_id": caller.org_id(), "id": id});
    let outcome: Outcome = caller
        .call("file_upload_abort", &args)
        .await
        .map_err(tagged)?;
    outcome::expect(outcome, "aborted").map_err(tagged)?;
    Ok(TusReply::new(StatusCode::NO_CONTENT))
}
