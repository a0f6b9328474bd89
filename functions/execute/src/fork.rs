//! `POST /api/v1/workflows/execute/{id}/fork`

use crate::model::as_stored;
use crate::recording::Recorded;
use crate::{WorkflowsRun, recording};
use nodeai_app::{Caller, PathId, Valid};
use nodeai_engine::{Compiled, Fault, Labels, RunStarted, What};
use nodeai_http::{Check, Checker, FieldError, Problem};
use nodeai_runs::plan::{compiled, ready};
use nodeai_runs::{Ask, BudgetInput, Mode, Reply, run};
use nodeai_travel::{Forked, edited, fork};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Where another run starts, and what is other in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkRequest {
    /// The node from which on it really runs, as the log names it; one inside of a loop stands for the loop.
    from: String,
    /// What is edited. What it touches runs too, and all that comes after it.
    #[serde(default)]
    edits: Option<Edits>,
    /// Other values for the input nodes, for what runs; results that are taken over stay as they are.
    #[serde(default)]
    inputs: Option<Map<String, Value>>,
    /// Outputs in the place of what nodes gave or would give, by node.
    #[serde(default)]
    outputs: Map<String, Value>,
    /// Server-sent events as the run goes instead of one answer at its end.
    #[serde(default)]
    stream: bool,
    /// What the run may cost; that of the run it comes from unless given. The lower of this and the definition's
    /// `settings.budget` counts.
    #[serde(default)]
    budget: Option<BudgetInput>,
}

/// Edits of the workflow that ran, for this run alone. One of the two.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    /// Another definition.
    #[serde(default, deserialize_with = "as_stored")]
    definition: Option<Value>,
    /// Other data of some nodes, by id: a JSON merge patch (RFC 7396) for each.
    #[serde(default)]
    node_data: Option<Map<String, Value>>,
}

impl Check for ForkRequest {
    fn check(&self, c: &mut Checker) {
        c.length(&self.from, 1, 2_000, "/from");
        if let Some(budget) = &self.budget {
            budget.check(c);
        }
        let Some(edits) = &self.edits else { return };
        let one = edits.definition.is_some() != edits.node_data.is_some();
        let detail = "give either definition or node_data";
        c.require(one, "/edits", "one_of", detail);
        for (node, data) in edits.node_data.iter().flatten() {
            let at = format!("/edits/node_data/{}", token(node));
            c.require(data.is_object(), &at, "wrong_type", "expected an object");
        }
    }
}

/// Starts another run that takes over what does not depend on `from`, and runs the rest.
pub async fn handle(
    caller: Caller<WorkflowsRun>,
    PathId(id): PathId,
    Valid(request): Valid<ForkRequest>,
) -> Result<Reply, Problem> {
    let recorded = recording::whole(&caller, &id).await?;
    let ran = recorded.workflow()?;
    ran.may_run()?;
    let edited = request.edited(&ran.definition)?;
    let compiled = compiled(&caller, edited.as_ref().unwrap_or(&ran.definition)).await?;
    let compiled = compiled.map_err(|faults| request.faulty(&ran.definition, faults))?;
    let forked = request.plan(&recorded, &compiled)?;
    let inputs = request.inputs.unwrap_or_else(|| inputs_of(&recorded));
    let plan = ready(compiled.reusing(forked.reused), inputs.clone())?;
    let execution = &recorded.execution;
    let stored = execution.workflow_id.as_ref().filter(|_| edited.is_none());
    let version = stored.and(execution.workflow_version);
    let definition = match stored {
        Some(_) => Value::Null,
        None => edited.unwrap_or_else(|| ran.definition.clone()),
    };
    let ask = Ask {
        function: "fork_start",
        what: "workflow, or not that version of it",
        target: json!({"forked_from": id, "forked_node": forked.from, "workflow_id": stored,
            "version": version, "definition": definition}),
        ready: Some(plan),
        inputs,
        mode: if request.stream {
            Mode::Stream
        } else {
            Mode::Sync
        },
        budget: request.budget.map(BudgetInput::limit).unwrap_or_default(),
        labels: labels_of(&recorded),
        private: false,
    };
    run(caller, ask).await
}

impl ForkRequest {
    /// The edited definition; none when it is the one that ran. Errors: 422 for nodes that are not there.
    fn edited(&self, ran: &Value) -> Result<Option<Value>, Problem> {
        let edits = self.edits.as_ref();
        let given = edits.and_then(|edits| edits.definition.clone());
        let patched = match edits.and_then(|edits| edits.node_data.as_ref()) {
            Some(data) => Some(edited(ran, data).map_err(does_not_fit)?),
            None => given,
        };
        Ok(patched
            .map(nodeai_travel::as_stored)
            .filter(|edited| edited != ran))
    }

    fn plan(&self, recorded: &Recorded, compiled: &Compiled) -> Result<Forked, Problem> {
        let ran = recorded.document()?;
        let log = recorded.recording.events();
        fork(&ran, compiled.definition(), log, &self.from, &self.outputs).map_err(does_not_fit)
    }

    /// Faults of the edited definition, at their places in the request.
    fn faulty(&self, ran: &Value, faults: Vec<Fault>) -> Problem {
        let patched = self.edits.as_ref().and_then(|e| e.node_data.as_ref());
        let Some(edits) = &self.edits else {
            let first = faults.into_iter().next();
            let first = first.map(|fault| fault.message).unwrap_or_default();
            return Problem::conflict(format!("what ran cannot run any more: {first}"));
        };
        let place = |fault: &Fault| match patched.and_then(|data| in_data(ran, data, fault)) {
            Some(place) => place,
            None if edits.definition.is_some() => format!("/edits/definition{}", fault.pointer),
            None => "/edits/node_data".to_owned(),
        };
        let errors = faults
            .into_iter()
            .map(|fault| FieldError::body(place(&fault), &fault.code, fault.message));
        Problem::fields(errors.collect())
    }
}

/// Where a fault of a node's data is in `node_data`: `/nodes/3/data/prompt` becomes `/edits/node_data/ask/prompt`.
fn in_data(ran: &Value, data: &Map<String, Value>, fault: &Fault) -> Option<String> {
    let rest = fault.pointer.strip_prefix("/nodes/")?;
    let (index, rest) = rest.split_once('/')?;
    let id = ran["nodes"][index.parse::<usize>().ok()?]["id"].as_str()?;
    let rest = rest.strip_prefix("data")?;
    data.contains_key(id)
        .then(|| format!("/edits/node_data/{}{rest}", token(id)))
}

/// The inputs that the run had, with defaults.
fn inputs_of(recorded: &Recorded) -> Map<String, Value> {
    let inputs = start_of(recorded).and_then(|started| started.inputs.as_object());
    inputs.cloned().unwrap_or_default()
}

/// A fork is of the session of the run that it was forked from, and for the same user.
fn labels_of(recorded: &Recorded) -> Labels {
    let labels = start_of(recorded).map(|started| started.labels.clone());
    labels.unwrap_or_default()
}

fn start_of(recorded: &Recorded) -> Option<&RunStarted> {
    match &recorded.recording.events().first()?.what {
        What::RunStarted(started) => Some(started),
        _ => None,
    }
}

fn does_not_fit(faults: Vec<Fault>) -> Problem {
    let detail = faults.first().map(|fault| fault.message.clone());
    let errors = faults
        .into_iter()
        .map(|fault| FieldError::body(fault.pointer, &fault.code, fault.message));
    Problem::does_not_fit(detail.unwrap_or_default()).with_errors(errors.collect())
}

/// A name as a part of a JSON pointer (RFC 6901).
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
