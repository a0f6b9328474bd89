//! `POST /api/v1/rag-evaluation/drain`

use crate::EvaluationsRun;
use nodeai_app::{DrainRequest, Drainer, Valid, clock, store_problem};
use nodeai_evaluation::job::{Ended, Taken, step};
use nodeai_evaluation::summary::Evaluated;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::Store;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Tasks that one step works out: their answers and contexts are in memory at once.
const TASKS: u32 = 10;
/// How long an evaluation is somebody's, µs: a step takes a moment.
const LEASE_US: i64 = 60_000_000;

/// What was done.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Worked {
    /// Looks at evaluations.
    taken: u32,
    /// Runs whose end was noted, of targets and of judges.
    collected: u32,
    /// Evaluations that have ended by that.
    finished: u32,
    /// `nothing` (is due) or `more` (may be due).
    left: &'static str,
    /// When something will be due, RFC 3339. Only for whoever drains for everybody.
    due_at: Option<String>,
}

#[derive(Deserialize)]
struct Claimed {
    #[serde(default)]
    evaluation: Option<Taken>,
    #[serde(default)]
    ended: Vec<Ended>,
    #[serde(default)]
    due_us: Option<i64>,
}

#[derive(Deserialize)]
struct Stepped {
    outcome: String,
    #[serde(default)]
    open: Option<u64>,
}

struct Work {
    store: Store,
    org_id: Option<String>,
}

/// Takes up evaluations that are due: notes runs that have ended, queues what comes next, and ends those of which everything has.
pub async fn handle(
    drainer: Drainer<EvaluationsRun>,
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
        let args = json!({"org_id": work.org_id, "lease_us": LEASE_US, "tasks": TASKS});
        let claimed: Claimed = work.call("evaluations_claim", &args).await?;
        let Some(taken) = claimed.evaluation else {
            done.left = "nothing";
            done.due_at = claimed.due_us.map(clock::rfc3339);
            break;
        };
        done.taken += 1;
        done.collected += u32::try_from(claimed.ended.len()).unwrap_or(u32::MAX);
        done.finished += u32::from(work.go_on(&taken, &claimed.ended).await?);
    }
    Ok(Json::ok(done))
}

impl Work {
    async fn call<T: DeserializeOwned>(&self, function: &str, args: &Value) -> Result<T, Problem> {
        let called = self.store.call_service(function, args).await;
        called.map_err(store_problem)
    }

    /// One step of an evaluation. Whether it has ended.
    async fn go_on(&self, taken: &Taken, ended: &[Ended]) -> Result<bool, Problem> {
        let mut args = json!(step(taken, ended));
        args["id"] = json!(taken.id);
        args["lease_token"] = json!(taken.lease_token);
        let stepped: Stepped = self.call("evaluation_step", &args).await?;
        match (stepped.outcome.as_str(), stepped.open) {
            ("stepped", Some(0)) => self.finish(taken).await,
            (outcome, _) => Ok(outcome == "ended"),
        }
    }

    async fn finish(&self, taken: &Taken) -> Result<bool, Problem> {
        let place = json!({"id": taken.id, "org_id": taken.org_id});
        let found: Option<Evaluated> = self.call("evaluation_scores", &place).await?;
        let evaluated = found.unwrap_or_default();
        let args = json!({"id": taken.id, "lease_token": taken.lease_token, "scored": evaluated.scored(),
            "summary": evaluated.summary(taken.settings.seed)});
        let ended: Stepped = self.call("evaluation_finish", &args).await?;
        Ok(ended.outcome == "finished")
    }
}
