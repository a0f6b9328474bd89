//! `POST /api/v1/workflows/execute/drain`, `POST /api/v1/workflows/execute/{id}/drain`

use crate::WorkflowsRun;
use nodeai_app::{DrainRequest, Drainer, PathId, Valid, clock};
use nodeai_http::{Problem, reply::Json};
use nodeai_runs::{Drain, Left, drain};
use schemars::JsonSchema;
use serde::Serialize;

/// Runs that one request works on at the same time.
const LANES: usize = 8;

/// What was done.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Drained {
    /// Runs that were taken up.
    taken: u32,
    /// Of them, those that ended.
    ended: u32,
    /// Of them, those that go on later.
    waiting: u32,
    /// `nothing` (is due), `busy` (enough runs are at work elsewhere) or `more` (may be due).
    left: &'static str,
    /// When something will be due, RFC 3339. Only for whoever drains for everybody.
    due_at: Option<String>,
}

/// Takes up queued runs that are due, one after the other, each with its owner's rights.
pub async fn handle(
    drainer: Drainer<WorkflowsRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Drained>, Problem> {
    let want = Drain {
        most: request.most(),
        time_ms: request.time_ms(),
        lanes: LANES,
        ..Drain::default()
    };
    work(drainer, want).await.map(Json::ok)
}

/// Takes up one queued run, when it is due: for whoever waits for its end.
pub async fn one(
    drainer: Drainer<WorkflowsRun>,
    PathId(id): PathId,
) -> Result<Json<Drained>, Problem> {
    let want = Drain {
        execution_id: Some(id),
        alone: true,
        most: 1,
        time_ms: 60_000,
        lanes: 1,
        ..Drain::default()
    };
    let done = work(drainer, want).await?;
    match done.taken {
        0 => Err(Problem::not_found("there is no such run that is due")),
        _ => Ok(Json::ok(done)),
    }
}

async fn work(drainer: Drainer<WorkflowsRun>, want: Drain) -> Result<Drained, Problem> {
    // What is drained opens sessions of its own.
    drainer.release();
    let org_id = drainer.org_id().map(str::to_owned);
    let for_all = org_id.is_none();
    let want = Drain { org_id, ..want };
    let mut done = Drained::default();
    let left = drain(&drainer.cx().app, &want, |slice| {
        done.taken += 1;
        match slice.status.as_str() {
            "waiting" => done.waiting += 1,
            "lost" => {}
            _ => done.ended += 1,
        }
    })
    .await?;
    (done.left, done.due_at) = match left {
        Left::Nothing(due_us) => ("nothing", due_us.filter(|_| for_all).map(clock::rfc3339)),
        Left::Busy => ("busy", None),
        Left::More => ("more", None),
    };
    Ok(done)
}
