//! `GET /api/v1/workflows/execute/{id}/events`

use crate::WorkflowsRead;
use nodeai_app::{Caller, PathId};
use nodeai_http::Problem;
use nodeai_http::reply::EventStream;
use nodeai_runs::follow;

/// Events of a run from its log, while it runs and after. `Last-Event-ID` goes on behind that event.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
) -> Result<EventStream, Problem> {
    let last = caller.cx.header("last-event-id").map(str::parse);
    let last = last.transpose().map_err(|_| {
        Problem::invalid_input("Last-Event-ID must be the id of an event of this run")
    })?;
    follow(caller, &id, last).await.map(EventStream)
}
