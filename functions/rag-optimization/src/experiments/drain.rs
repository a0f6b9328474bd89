//! Experiments that are due.

use nodeai_app::{Look, Work};
use nodeai_evaluation::experiment::Taken;
use nodeai_evaluation::experiment::batch::{Ended, Waiting, step};
use nodeai_evaluation::experiment::outcome::{Row, conclude};
use nodeai_http::Problem;
use serde::Deserialize;
use serde_json::json;

/// How long an experiment is somebody's, µs: trying all settings takes a while.
const LEASE_US: i64 = 120_000_000;
/// Lists that are read at once.
const LISTS: usize = 100;

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

/// Looks for an experiment that is due: stores lists that have come, queues what comes next, and tries all settings once all lists are
/// there.
pub async fn look(work: &Work) -> Result<Look, Problem> {
    let args = json!({"org_id": work.org_id(), "lease_us": LEASE_US});
    let claimed: Claimed = work.call("experiments_claim", &args).await?;
    let Some(taken) = &claimed.experiment else {
        return Ok(Look::Nothing(claimed.due_us));
    };
    Ok(Look::Taken {
        collected: claimed.ended.len(),
        finished: go_on(work, taken, &claimed).await?,
    })
}

/// One step of an experiment. Whether it has ended.
async fn go_on(work: &Work, taken: &Taken, claimed: &Claimed) -> Result<bool, Problem> {
    let mut args = json!(step(taken, &claimed.ended, &claimed.waiting));
    args["id"] = json!(taken.id);
    args["lease_token"] = json!(taken.lease_token);
    let stepped: Stepped = work.call("experiment_step", &args).await?;
    match (stepped.outcome.as_str(), stepped.open) {
        ("stepped", Some(0)) => finish(work, taken).await,
        (outcome, _) => Ok(outcome == "ended"),
    }
}

async fn finish(work: &Work, taken: &Taken) -> Result<bool, Problem> {
    let rows = lists(work, taken).await?;
    let mut args = json!(conclude(taken, &rows));
    args["id"] = json!(taken.id);
    args["lease_token"] = json!(taken.lease_token);
    let ended: Stepped = work.call("experiment_finish", &args).await?;
    Ok(ended.outcome == "finished")
}

/// All questions with what was found for them.
async fn lists(work: &Work, taken: &Taken) -> Result<Vec<Row>, Problem> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.item_id.clone());
        let args = json!({"id": taken.id, "org_id": taken.org_id, "after": after, "limit": LISTS});
        let found: Option<Found> = work.call("experiment_lists", &args).await?;
        let questions = found.map(|found| found.questions).unwrap_or_default();
        let last = questions.len() < LISTS;
        rows.extend(questions);
        if last {
            return Ok(rows);
        }
    }
}
