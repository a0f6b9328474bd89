//! `GET /api/v1/profiles/me/jobs/{id}`

use super::{Job, advance};
use crate::Own;
use nodeai_app::{Caller, PathId};
use nodeai_http::Problem;
use nodeai_http::reply::Json;

/// How long the answer may wait for the job to move on, µs.
const WHILE_ASKED_US: i64 = 2_000_000;

/// The job, moved on. The one who was deleted can ask for that job (and nothing else) for 30 days.
pub async fn handle(caller: Caller<Own>, PathId(id): PathId) -> Result<Json<Job>, Problem> {
    // Asking again and again is no work worth a trace, and it may be the last request of an account.
    caller.cx.own_trace.set(true);
    advance(&caller, &id, WHILE_ASKED_US).await.map(Json::ok)
}
