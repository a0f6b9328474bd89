//! `POST /api/v1/profiles/me/jobs/{id}/cancel`

use super::Job;
use crate::Own;
use nodeai_app::{Caller, Command, PathId, Reply};
use nodeai_http::Problem;
use serde_json::json;

/// Takes a job back: an export at any time, a deletion until it begins.
pub async fn handle(caller: Caller<Own>, PathId(id): PathId) -> Result<Reply<Job>, Problem> {
    let command = Command::named("profile_job_cancel", "job", &id, json!({"id": id}))
        .audit("profile.job_cancelled", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
