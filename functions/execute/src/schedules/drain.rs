//! `POST /api/v1/workflows/execute/schedules/drain`

use super::SchedulesRun;
use super::model::Missed;
use nodeai_app::errors::log;
use nodeai_app::{DrainRequest, Drainer, Valid, clock, store_problem};
use nodeai_http::{Problem, reply::Json};
use nodeai_runs::kick;
use nodeai_schedule::{Due, Timetable, due, jitter_us};
use nodeai_telemetry::TraceContext;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Schedules that are taken up at once.
const AT_ONCE: u32 = 50;
/// How long a schedule is somebody's, µs: to fire it takes one statement.
const LEASE_US: i64 = 60_000_000;

/// What was done.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Fired {
    /// Schedules that were taken up.
    taken: u32,
    /// Runs that were started.
    started: u32,
    /// Instants that had been missed, and did not run.
    missed: u32,
    /// `nothing` (is due) or `more` (may be due).
    left: &'static str,
    /// When something will be due, RFC 3339. Only for whoever drains for everybody.
    due_at: Option<String>,
}

/// A schedule that was taken up.
#[derive(Debug, Deserialize)]
struct Taken {
    id: String,
    lease_token: i64,
    cron: String,
    time_zone: String,
    missed: Missed,
    jitter_ms: u32,
    /// None after a change: it runs nothing, and learns what comes next.
    next_scheduled_us: Option<i64>,
    starts_us: Option<i64>,
    ends_us: Option<i64>,
}

#[derive(Deserialize)]
struct Claimed {
    schedules: Vec<Taken>,
    due_us: Option<i64>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    started: Vec<String>,
}

impl Taken {
    /// What runs now. What is stored past the API's rules never comes.
    fn due(&self, now_us: i64) -> Due {
        let table = match Timetable::parse(&self.cron, &self.time_zone) {
            Ok(table) => table.within(self.starts_us, self.ends_us),
            Err(error) => {
                log("schedule", &format!("{}: {error}", self.id));
                return Due::default();
            }
        };
        match self.next_scheduled_us {
            Some(pending) => due(
                &table,
                self.missed.into(),
                |at| self.jitter(at),
                pending,
                now_us,
            ),
            None => Due {
                next: table.after(now_us),
                ..Due::default()
            },
        }
    }

    fn jitter(&self, instant_us: i64) -> i64 {
        jitter_us(&self.id, instant_us, self.jitter_ms)
    }

    /// Arguments of `schedule_fire`.
    fn fire(&self, found: &Due) -> Value {
        let run = |at: &i64| {
            let trace = TraceContext::root(clock::random());
            json!({"scheduled_us": at, "execution": {"id": clock::new_id(), "trace_id": trace.trace_id,
                "span_id": trace.span_id}})
        };
        let runs: Vec<Value> = found.runs.iter().map(run).collect();
        let missed = found.newest_missed;
        let missed = missed.map(|at| json!({"count": found.missed, "scheduled_us": at}));
        let fires = found.next.map(|at| at.saturating_add(self.jitter(at)));
        json!({"id": self.id, "lease_token": self.lease_token, "runs": runs, "missed": missed,
            "next_scheduled_us": found.next, "next_us": fires})
    }
}

/// Starts the runs of schedules that are due, each with its owner's rights; they are in the queue then.
pub async fn handle(
    drainer: Drainer<SchedulesRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Fired>, Problem> {
    // What is drained opens connections of its own.
    drainer.release();
    let cx = drainer.cx().clone();
    let store = cx.store()?;
    let until_us = request.until_us();
    let (mut done, mut first) = (Fired::default(), None);
    done.left = "more";
    while done.taken < request.most() && clock::now_us() < until_us {
        let most = AT_ONCE.min(request.most() - done.taken);
        let args = json!({"org_id": drainer.org_id(), "most": most, "lease_us": LEASE_US});
        let claimed = store.call_service("schedules_claim", &args).await;
        let claimed: Claimed = claimed.map_err(store_problem)?;
        let all = claimed.schedules.len() < most as usize;
        for schedule in &claimed.schedules {
            let found = schedule.due(clock::now_us());
            let fired = store
                .call_service("schedule_fire", &schedule.fire(&found))
                .await;
            // What another one has fired meanwhile has started nothing here.
            let fired: Answer = fired.map_err(store_problem)?;
            done.taken += 1;
            done.missed += u32::try_from(found.missed).unwrap_or(u32::MAX);
            done.started += u32::try_from(fired.started.len()).unwrap_or(u32::MAX);
            first = first.or_else(|| fired.started.first().cloned());
        }
        if all {
            done.left = "nothing";
            done.due_at = claimed.due_us.map(clock::rfc3339);
            break;
        }
    }
    if let Some(execution_id) = first {
        // It, and what else is in the queue.
        kick(&cx, &execution_id);
    }
    Ok(Json::ok(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(next_scheduled_us: Option<i64>) -> Taken {
        let row = json!({"id": "s", "lease_token": 7, "cron": "0 * * * *", "time_zone": "UTC", "missed": "run_once",
            "jitter_ms": 1_000, "next_scheduled_us": next_scheduled_us, "starts_us": null, "ends_us": null});
        serde_json::from_value(row).unwrap()
    }

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn the_store_hears_what_runs_and_when_it_is_due_next() {
        let schedule = taken(Some(HOUR));
        let args = schedule.fire(&schedule.due(3 * HOUR + 2_000_000));
        assert_eq!(args["lease_token"], 7);
        assert_eq!(args["runs"].as_array().map(Vec::len), Some(1));
        assert_eq!(args["runs"][0]["scheduled_us"], 3 * HOUR);
        assert_eq!(
            args["missed"],
            json!({"count": 2, "scheduled_us": 2 * HOUR})
        );
        assert_eq!(args["next_scheduled_us"], 4 * HOUR);
        let late = args["next_us"].as_i64().unwrap() - 4 * HOUR;
        assert!((0..=1_000_000).contains(&late), "{late}");
    }

    #[test]
    fn after_a_change_nothing_runs_and_the_next_instant_is_known() {
        let schedule = taken(None);
        let args = schedule.fire(&schedule.due(HOUR / 2));
        assert_eq!((&args["runs"], &args["missed"]), (&json!([]), &Value::Null));
        assert_eq!(args["next_scheduled_us"], HOUR);
    }
}
