//! `DELETE /api/v1/workflows/execute/schedules/{id}`

use super::SchedulesWrite;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Removes a schedule; runs that it has started stay.
pub async fn handle(
    caller: Caller<SchedulesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("schedule_remove", "schedule", &id, args)
        .audit("schedule.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}
