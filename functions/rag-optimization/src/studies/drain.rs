//! Studies that are due: evaluations are made, outcomes told, and those that repeat begun once more.

use nodeai_app::{Look, Work};
use nodeai_evaluation::study::parameters::{Parameter, trials};
use nodeai_evaluation::study::step::{Step, step};
use nodeai_evaluation::study::{Evaluated, Taken};
use nodeai_http::Problem;
use nodeai_http::input::tokens;
use serde::Deserialize;
use serde_json::{Value, json};

/// How long a study is somebody's, µs.
const LEASE_US: i64 = 60_000_000;

/// What was taken up.
#[derive(Deserialize)]
#[serde(untagged)]
enum Claimed {
    Study {
        study: Box<Taken>,
        evaluated: Vec<Evaluated>,
    },
    Repeat {
        repeat: Repeat,
    },
    Nothing {
        due_us: Option<i64>,
    },
}

/// A study that is repeated: the workflow as it is now.
#[derive(Deserialize)]
struct Repeat {
    id: String,
    lease_token: i64,
    definition: Option<Value>,
    workflow_version: Option<i64>,
    parameters: Vec<Parameter>,
    retune: Asked,
}

/// Where traces have questions.
#[derive(Deserialize)]
struct Asked {
    question: String,
    expected: Option<String>,
}

#[derive(Deserialize)]
struct Stepped {
    outcome: String,
}

/// Looks for a study that is due.
pub async fn look(work: &Work) -> Result<Look, Problem> {
    let args = json!({"org_id": work.org_id(), "lease_us": LEASE_US});
    let (collected, stepped) = match work.call("studies_claim", &args).await? {
        Claimed::Nothing { due_us } => return Ok(Look::Nothing(due_us)),
        Claimed::Study { study, evaluated } => {
            (evaluated.len(), go_on(work, &study, &evaluated).await?)
        }
        Claimed::Repeat { repeat } => (0, again(work, &repeat).await?),
    };
    Ok(Look::Taken {
        collected,
        finished: ["finished", "ended"].contains(&&*stepped.outcome),
    })
}

async fn go_on(work: &Work, taken: &Taken, evaluated: &[Evaluated]) -> Result<Stepped, Problem> {
    let (function, mut args) = match step(taken, evaluated) {
        Step::Ask(asks) => ("study_step", json!({"asks": asks})),
        Step::End(ending) => ("study_finish", json!(ending)),
    };
    args["id"] = json!(taken.id);
    args["lease_token"] = json!(taken.lease_token);
    work.call(function, &args).await
}

/// Begins the next study of one that repeats.
async fn again(work: &Work, repeat: &Repeat) -> Result<Stepped, Problem> {
    let made = match &repeat.definition {
        None => Err("the workflow is gone"),
        Some(definition) => trials(definition, &repeat.parameters)
            .map_err(|_| "the parameters do not fit the workflow any more"),
    };
    let args = json!({"id": repeat.id, "lease_token": repeat.lease_token, "definition": repeat.definition,
        "workflow_version": repeat.workflow_version, "error": made.as_ref().err(), "trials": made.unwrap_or_default(),
        "question": tokens(&repeat.retune.question), "expected": repeat.retune.expected.as_deref().map(tokens)});
    work.call("study_repeat", &args).await
}
