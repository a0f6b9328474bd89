//! `GET /api/v1/workflows/execute/schedules/{id}`

use super::SchedulesRead;
use super::model::{SHOWN, Schedule, schedules as col};
use nodeai_app::{Caller, PathId, clock};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One schedule.
pub async fn handle(
    caller: Caller<SchedulesRead>,
    PathId(id): PathId,
) -> Result<Json<Schedule>, Problem> {
    let schedule = find(&caller, id).await?.at(clock::now_us());
    let tag = etag::of(schedule.version);
    Ok(Json::ok(schedule).header(http::header::ETAG, tag))
}

/// A schedule of the caller's organisation. Errors: 404.
pub async fn find(caller: &Caller<SchedulesRead>, id: String) -> Result<Schedule, Problem> {
    let query = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    caller.find(query, "schedule").await
}
