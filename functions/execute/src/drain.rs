//! `POST /api/v1/workflows/execute/drain`

use crate::WorkflowsRun;
use nodeai_app::{Drainer, Valid, clock};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_runs::{Drain, Left, drain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Runs that one request works on at the same time.
const LANES: usize = 8;

/// How much to do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// At most so many runs; 1,000 unless given.
    #[serde(default)]
    most: Option<u32>,
    /// Takes up nothing more after so many milliseconds; 15,000 unless given, up to 60,000.
    #[serde(default)]
    time_ms: Option<u64>,
}

impl Check for DrainRequest {
    fn check(&self, c: &mut Checker) {
        let most = self.most.is_none_or(|n| (1..=100_000).contains(&n));
        c.require(most, "/most", "range", "must be from 1 to 100000");
        let time = self.time_ms.is_none_or(|ms| ms <= 60_000);
        c.require(time, "/time_ms", "range", "must be at most 60000");
    }
}

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
    // What is drained opens sessions of its own.
    drainer.release();
    let org_id = drainer.org_id().map(str::to_owned);
    let for_all = org_id.is_none();
    let want = Drain {
        org_id,
        execution_id: None,
        most: request.most.unwrap_or(1_000),
        time_ms: request.time_ms.unwrap_or(15_000),
        lanes: LANES,
    };
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
    Ok(Json::ok(done))
}
