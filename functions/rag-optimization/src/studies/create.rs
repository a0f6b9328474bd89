//! `POST /api/v1/rag-optimization/studies`

use super::input::StudyInput;
use super::model::Study;
use crate::OptimizationsRun;
use nodeai_app::{Caller, Command, Reply, Valid, clock};
use nodeai_evaluation::study::parameters::{Parameter, Setting, apply, trials};
use nodeai_evaluation::study::{Settings, Target};
use nodeai_http::{FieldError, Problem};
use serde::Deserialize;
use serde_json::{Value, json};

/// Questions when nobody says how many.
const QUESTIONS: u32 = 100;

#[derive(Deserialize)]
struct Document {
    version: i64,
    definition: Value,
}

/// Makes a study, which goes on by itself: every combination is run on a few questions as whoever makes it, the better ones on more, and
/// the best ones are held against the workflow as it is on questions that the search has not seen. 202 with its `Location`.
pub async fn handle(
    caller: Caller<OptimizationsRun>,
    Valid(input): Valid<StudyInput>,
) -> Result<Reply<Study, 202>, Problem> {
    let place = json!({"id": input.workflow_id, "org_id": caller.org_id(), "version": input.workflow_version});
    let document: Option<Document> = caller.call("study_workflow", &place).await?;
    let document = document.ok_or_else(|| Problem::not_found("there is no such workflow"))?;
    let trials = tried(&document.definition, &input.parameters)?;
    let id = clock::new_id();
    let location = format!("/api/v1/rag-optimization/studies/{id}");
    let args = json!({"id": id, "row": row(&input, &document), "most": input.max_items.unwrap_or(QUESTIONS), "trials": trials});
    let command = Command::named("study_create", "workflow or dataset", &id, args)
        .audit("study.created", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}

fn row(input: &StudyInput, document: &Document) -> Value {
    let settings = Settings {
        screen: input.screen(),
        metric: input.metric(),
        places: input.places.clone(),
        concurrency: input.concurrency.unwrap_or(4),
        allow_unpriced: input.allow_unpriced,
        first: input.first_questions.map(|n| n as usize),
    };
    let target = Target {
        input: input.input.clone(),
        inputs: input.inputs.clone(),
    };
    json!({"name": input.name, "workflow_id": input.workflow_id, "workflow_version": document.version,
        "definition": document.definition, "dataset_id": input.dataset_id, "dataset_version": input.dataset_version,
        "parameters": input.parameters, "target": target, "settings": settings, "judge": input.judge, "budget": input.budget,
        "seed": input.seed, "retune": input.retune})
}

/// All trials. What the workflow could not run with is refused here, value by value.
fn tried(definition: &Value, parameters: &[Parameter]) -> Result<Vec<Setting>, Problem> {
    if let Some(fault) = fault(definition) {
        let detail = format!("the workflow itself cannot run: {fault}");
        return Err(Problem::conflict(detail));
    }
    let made = trials(definition, parameters).map_err(Problem::fields)?;
    let mut wrong = Vec::new();
    for (i, parameter) in parameters.iter().enumerate() {
        for (j, value) in parameter.values.iter().enumerate() {
            let setting = Setting::from_iter([(parameter.name(), value.clone())]);
            if let Some(fault) = fault(&apply(definition, parameters, &setting)) {
                let at = format!("/parameters/{i}/values/{j}");
                wrong.push(FieldError::body(at, "invalid", fault));
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(made),
        false => Err(Problem::fields(wrong)),
    }
}

/// Why a workflow could not run, for a person.
fn fault(definition: &Value) -> Option<String> {
    let faults = nodeai_engine::validate(definition).err()?;
    let first = faults.first()?;
    Some(format!("{}: {}", first.pointer, first.message))
}
