//! `POST /api/v1/rag-evaluation/drain`

use crate::EvaluationsRun;
use nodeai_app::{DrainRequest, Drainer, Look, Valid, Work, Worked};
use nodeai_evaluation::summary::Evaluated;
use nodeai_evaluation::{job, online, synthesis};
use nodeai_http::{Problem, reply::Json};
use serde::Deserialize;
use serde_json::{Value, json};

/// Tasks, or traces, that one step works out: their answers and contexts are in memory at once.
const TASKS: u32 = 10;
/// How long a job is somebody's, µs: a step takes a moment.
const LEASE_US: i64 = 60_000_000;

/// What was taken up.
#[derive(Deserialize)]
#[serde(untagged)]
enum Claimed {
    Evaluation {
        evaluation: job::Taken,
        ended: Vec<job::Ended>,
    },
    Rule {
        rule: online::Taken,
        traces: Vec<online::Sampled>,
    },
    Synthesis {
        synthesis: synthesis::Taken,
        ended: Vec<synthesis::Ended>,
        waiting: Vec<synthesis::Waiting>,
    },
    Nothing {
        due_us: Option<i64>,
    },
}

#[derive(Deserialize)]
struct Stepped {
    outcome: String,
    #[serde(default)]
    open: Option<u64>,
}

/// Takes up evaluations, rules and syntheses that are due: notes runs that have ended, samples traces, queues what comes next, and ends
/// what has nothing open.
pub async fn handle(
    drainer: Drainer<EvaluationsRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Worked>, Problem> {
    let work = Work::of(&drainer)?;
    work.go_on(&request, look).await.map(Json::ok)
}

async fn look(work: &Work) -> Result<Look, Problem> {
    let args = json!({"org_id": work.org_id(), "lease_us": LEASE_US, "tasks": TASKS});
    let (collected, finished) = match work.call("evaluation_work", &args).await? {
        Claimed::Nothing { due_us } => return Ok(Look::Nothing(due_us)),
        Claimed::Evaluation { evaluation, ended } => {
            (ended.len(), evaluate(work, &evaluation, &ended).await?)
        }
        Claimed::Rule { rule, traces } => {
            let batch = online::batch(&rule, &traces, TASKS as usize);
            let fence = (&*rule.id, rule.lease_token);
            step(work, "eval_rule_step", json!(batch), fence).await?;
            (traces.len(), false)
        }
        Claimed::Synthesis {
            synthesis: taken,
            ended,
            waiting,
        } => {
            let next = synthesis::step(&taken, &ended, &waiting);
            let fence = (&*taken.id, taken.lease_token);
            let stepped = step(work, "eval_synthesis_step", json!(next), fence).await?;
            (ended.len(), stepped.outcome == "ended")
        }
    };
    Ok(Look::Taken {
        collected,
        finished,
    })
}

/// Stores a step of the job that is held by `fence`.
async fn step(
    work: &Work,
    function: &str,
    mut args: Value,
    fence: (&str, i64),
) -> Result<Stepped, Problem> {
    args["id"] = json!(fence.0);
    args["lease_token"] = json!(fence.1);
    work.call(function, &args).await
}

/// One step of an evaluation. Whether it has ended.
async fn evaluate(work: &Work, taken: &job::Taken, ended: &[job::Ended]) -> Result<bool, Problem> {
    let fence = (&*taken.id, taken.lease_token);
    let next = json!(job::step(taken, ended));
    let stepped = step(work, "evaluation_step", next, fence).await?;
    if (stepped.outcome.as_str(), stepped.open) != ("stepped", Some(0)) {
        return Ok(stepped.outcome == "ended");
    }
    let place = json!({"id": taken.id, "org_id": taken.org_id});
    let found: Option<Evaluated> = work.call("evaluation_scores", &place).await?;
    let evaluated = found.unwrap_or_default();
    let args =
        json!({"scored": evaluated.scored(), "summary": evaluated.summary(taken.settings.seed)});
    let ended = step(work, "evaluation_finish", args, fence).await?;
    Ok(ended.outcome == "finished")
}
