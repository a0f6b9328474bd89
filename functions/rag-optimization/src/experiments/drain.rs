//! `POST /api/v1/rag-optimization/drain`

use crate::OptimizationsRun;
use nodeai_app::{DrainRequest, Drainer, Valid, clock, store_problem};
use nodeai_evaluation::experiment::Taken;
use nodeai_evaluation::experiment::batch::{Ended, Waiting, step};
use nodeai_evaluation::experiment::outcome::{Row, conclude};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::Store;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long an experiment is somebody's, µs: trying all settings takes a while.
const LEASE_US: i64 = 120_000_000;
/// Lists that are read at once.
const LISTS: usize = 100;

/// What was done.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Worked {
    /// Looks at experiments.
    taken: u32,
    /// Runs whose end was noted.
    collected: u32,
    /// Experiments that have ended by that.
    finished: u32,
    /// `nothing` (is due) or `more` (may be due).
    left: &'static str,
    /// When something will be due, RFC 3339. Only for whoever drains for everybody.
    due_at: Option<String>,
}

#[derive(Deserialize)]
struct Claimed {
    #[serde(default)]
    experiment: Option<Taken>,
    #[serde(default)]
    ended: Vec<Ended>,
    #[serde(default)]
    waiting: Vec<Waiting>,
    #[serde(default)]
    due_us: Option<i64>,
}

#[derive(Deserialize)]
struct Stepped {
    outcome: String,
    #[serde(default)]
    open: Option<u64>,
}

#[derive(Deserialize)]
struct Found {
    questions: Vec<Row>,
}

struct Work {
    store: Store,
    org_id: Option<String>,
}

/// Takes up experiments that are due: stores lists that have come, queues what comes next, and tries all settings once all lists are
/// there.
pub async fn handle(
    drainer: Drainer<OptimizationsRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Worked>, Problem> {
    // What is drained opens connections of its own.
    drainer.release();
    let cx = drainer.cx().clone();
    let work = Work {
        store: cx.store()?,
        org_id: drainer.org_id().map(str::to_owned),
    };
    let until_us = request.until_us();
    let mut done = Worked {
        left: "more",
        ..Worked::default()
    };
    while done.taken < request.most() && clock::now_us() < until_us {
        let args = json!({"org_id": work.org_id, "lease_us": LEASE_US});
        let claimed: Claimed = work.call("experiments_claim", &args).await?;
        let Some(taken) = &claimed.experiment else {
            done.left = "nothing";
            done.due_at = claimed.due_us.map(clock::rfc3339);
            break;
        };
        done.taken += 1;
        done.collected += u32::try_from(claimed.ended.len()).unwrap_or(u32::MAX);
        done.finished += u32::from(work.go_on(taken, &claimed).await?);
    }
    Ok(Json::ok(done))
}

impl Work {
    async fn call<T: DeserializeOwned>(&self, function: &str, args: &Value) -> Result<T, Problem> {
        let called = self.store.call_service(function, args).await;
        called.map_err(store_problem)
    }

    /// One step of an experiment. Whether it has ended.
    async fn go_on(&self, taken: &Taken, claimed: &Claimed) -> Result<bool, Problem> {
        let mut args = json!(step(taken, &claimed.ended, &claimed.waiting));
        args["id"] = json!(taken.id);
        args["lease_token"] = json!(taken.lease_token);
        let stepped: Stepped = self.call("experiment_step", &args).await?;
        match (stepped.outcome.as_str(), stepped.open) {
            ("stepped", Some(0)) => self.finish(taken).await,
            (outcome, _) => Ok(outcome == "ended"),
        }
    }

    async fn finish(&self, taken: &Taken) -> Result<bool, Problem> {
        let rows = self.lists(taken).await?;
        let mut args = json!(conclude(taken, &rows));
        args["id"] = json!(taken.id);
        args["lease_token"] = json!(taken.lease_token);
        let ended: Stepped = self.call("experiment_finish", &args).await?;
        Ok(ended.outcome == "finished")
    }

    /// All questions with what was found for them.
    async fn lists(&self, taken: &Taken) -> Result<Vec<Row>, Problem> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map(|row| row.item_id.clone());
            let args =
                json!({"id": taken.id, "org_id": taken.org_id, "after": after, "limit": LISTS});
            let found: Option<Found> = self.call("experiment_lists", &args).await?;
            let questions = found.map(|found| found.questions).unwrap_or_default();
            let last = questions.len() < LISTS;
            rows.extend(questions);
            if last {
                return Ok(rows);
            }
        }
    }
}
