//! Starting a run: one statement makes the execution, claims the idempotency key and loads the workflow.

use crate::budget::Standing;
use crate::model::{RunResult, Stored};
use crate::plan::{Plan, plan};
use nodeai_app::{Caller, Scope, clock, errors::log, write::idempotency};
use nodeai_engine::{Labels, Manifest, Policy, RunBudget};
use nodeai_http::Problem;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How long a run counts as alive without a sign of life, µs.
const LEASE_US: i64 = 60_000_000;

/// What is to run.
pub struct Ask {
    /// The SQL function that makes the execution: `run_start`, or one that takes and gives the same and more.
    pub function: &'static str,
    /// What it starts, for "there is no such …".
    pub what: &'static str,
    /// Members of the function's `execution` that say which workflow: an object.
    pub target: Value,
    /// What runs, when it does not come from the store.
    pub ready: Option<Plan>,
    /// Values for the input nodes.
    pub inputs: Map<String, Value>,
    /// How it is answered.
    pub mode: Mode,
    /// What the caller lets it cost.
    pub budget: RunBudget,
    /// By what its spans are found and counted.
    pub labels: Labels,
    /// Nothing of what goes in or comes out is kept: only that it ran, what it used and what it cost.
    pub private: bool,
}

/// How a run is answered.
#[derive(Debug, Clone)]
pub enum Mode {
    /// By one answer at its end.
    Sync,
    /// By events as it goes; it ends when nobody listens any more.
    Stream,
    /// At once; it goes on by itself.
    Queued(Queued),
}

/// What the queue goes by.
#[derive(Debug, Clone, Default)]
pub struct Queued {
    /// From -100 to 100; of an organisation's runs higher ones begin first.
    pub priority: i32,
    /// Runs of the organisation with the same key share its places.
    pub concurrency_key: Option<String>,
    /// How many of them run at once.
    pub concurrency_limit: Option<u32>,
    /// When it may begin at the earliest, µs since the Unix epoch.
    pub run_after_us: Option<i64>,
    /// Answered by events from its log; it goes on when nobody listens.
    pub follow: bool,
}

impl Mode {
    fn name(&self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Stream => "stream",
            Self::Queued(_) => "queued",
        }
    }
}

/// A run that may begin.
pub struct Started {
    /// The execution's id.
    pub execution_id: String,
    /// The stored workflow's id.
    pub workflow_id: Option<String>,
    /// The workflow's name; empty for a definition that is not stored.
    pub name: String,
    /// The environment whose secrets it opens, for what is deployed.
    pub environment: Option<String>,
    /// What to run.
    pub plan: Plan,
    /// What the caller lets it cost.
    pub budget: RunBudget,
    /// The organisation's budgets that it has to heed; none where nobody has asked yet.
    pub standing: Option<Standing>,
    /// What its organisation lets it do.
    pub policy: Policy,
    /// See [`Ask::labels`].
    pub labels: Labels,
    /// See [`Ask::private`].
    pub private: bool,
}

/// Either a run that begins, or the answer that a repeated request gets again.
pub enum Begin {
    /// Go.
    Run(Box<Started>),
    /// This request was made before.
    Replay(Box<RunResult>),
    /// This request was made before, and its run goes on by itself.
    Queued(Box<Stored>),
}

#[derive(Deserialize)]
struct Answer {
    outcome: String,
    #[serde(default)]
    execution: Option<Stored>,
    #[serde(default)]
    workflow: Option<StoredWorkflow>,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    budgets: Option<Standing>,
    #[serde(default)]
    policy: Policy,
    /// How deep workflows may be each other's tools, where it is too deep.
    #[serde(default)]
    most: Option<u32>,
    /// What it may cost, where the store knows that from an earlier run.
    #[serde(default)]
    budget: Option<RunBudget>,
}

#[derive(Deserialize)]
struct StoredWorkflow {
    id: String,
    name: String,
    definition: Value,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    egress: Manifest,
}

impl StoredWorkflow {
    async fn plan<S: Scope>(
        &self,
        caller: &Caller<S>,
        inputs: Map<String, Value>,
    ) -> Result<Plan, Problem> {
        match self.archived {
            true => Err(Problem::conflict(
                "the workflow is in the archive, where nothing runs; take it out first",
            )),
            false => plan(caller, &self.definition, inputs).await,
        }
    }
}

/// Starts the run. What cannot run leaves nothing behind.
pub async fn start<S: Scope>(caller: &Caller<S>, ask: Ask) -> Result<Begin, Problem> {
    let execution_id = clock::new_id();
    let args = arguments(caller, &ask, &execution_id)?;
    let answer: Answer = caller.call(ask.function, &args).await?;
    match (answer.outcome.as_str(), answer.execution) {
        ("started", _) => {}
        ("replayed", Some(execution)) => return replay(execution, &ask.mode),
        ("too_deep", _) => return Err(too_deep(answer.most)),
        (other, _) => return Err(refusal(other, ask.what)),
    }
    let manifest = answer.workflow.as_ref().map(|stored| stored.egress.clone());
    let (workflow_id, name, mut plan) = match (ask.ready, answer.workflow) {
        (Some(ready), None) => (None, String::new(), ready),
        (Some(ready), Some(workflow)) => (Some(workflow.id), workflow.name, ready),
        (None, Some(workflow)) => {
            let made = workflow.plan(caller, ask.inputs).await;
            let ready = or_abandon(caller, &execution_id, made).await?;
            (Some(workflow.id), workflow.name, ready)
        }
        (None, None) => return Err(refusal("missing", ask.what)),
    };
    let held = plan.hold(&answer.policy, manifest);
    or_abandon(caller, &execution_id, held).await?;
    // What asks no model spends nothing, and runs whatever the budgets say.
    if let Some(standing) = answer
        .budgets
        .as_ref()
        .filter(|_| plan.compiled.asks_models())
    {
        or_abandon(caller, &execution_id, standing.check()).await?;
    }
    Ok(Begin::Run(Box::new(Started {
        execution_id,
        workflow_id,
        name,
        environment: answer.environment,
        plan,
        budget: ask.budget.and(answer.budget.unwrap_or_default()),
        standing: answer.budgets,
        policy: answer.policy,
        labels: ask.labels,
        private: ask.private,
    })))
}

fn arguments<S: Scope>(
    caller: &Caller<S>,
    ask: &Ask,
    execution_id: &str,
) -> Result<Value, Problem> {
    let mut execution = json!({
        "id": execution_id, "org_id": caller.org_id(), "trace_id": caller.cx.trace.trace_id,
        "mode": ask.mode.name(), "span_id": caller.cx.trace.span_id,
        "parent_span_id": caller.cx.trace.parent,
        "inputs": if ask.private { json!({}) } else { json!(ask.inputs) }, "started_us": caller.cx.started_us,
        // Renewed every second while it runs; housekeeping fails the runs of instances that died.
        "lease_us": LEASE_US,
    });
    if ask.budget.limits() {
        execution["budget"] = json!(ask.budget);
    }
    if let Mode::Queued(queued) = &ask.mode {
        execution["priority"] = json!(queued.priority);
        execution["concurrency_key"] = json!(queued.concurrency_key);
        execution["concurrency_limit"] = json!(queued.concurrency_limit);
        execution["run_after_us"] = json!(queued.run_after_us);
        if !ask.labels.is_empty() {
            execution["labels"] = json!(ask.labels);
        }
    }
    if let (Some(all), Some(target)) = (execution.as_object_mut(), ask.target.as_object()) {
        all.extend(target.clone());
    }
    Ok(json!({"execution": execution, "idempotency": idempotency(&caller.cx)?}))
}

/// A run that cannot begin, as with inputs that do not fit, must not leave an execution behind.
async fn or_abandon<S: Scope, T>(
    caller: &Caller<S>,
    execution_id: &str,
    made: Result<T, Problem>,
) -> Result<T, Problem> {
    if made.is_err() {
        let args = json!({"id": execution_id, "org_id": caller.org_id()});
        caller.call::<Value>("run_abandon", &args).await?;
    }
    made
}

fn replay(execution: Stored, mode: &Mode) -> Result<Begin, Problem> {
    if matches!(mode, Mode::Queued(_)) {
        return Ok(Begin::Queued(Box::new(execution)));
    }
    if execution.finished_us.is_none() {
        let id = &execution.id;
        return Err(Problem::conflict(format!(
            "the first request with this Idempotency-Key is still running as execution {id}"
        ))
        .retry_after(1));
    }
    Ok(Begin::Replay(Box::new(execution.result())))
}

/// `most` is the organisation's policy; none where it has none.
fn too_deep(most: Option<u32>) -> Problem {
    let than = match most {
        Some(most) => format!("{most} deep, which is the organisation's policy (max_depth)"),
        None => "five deep".to_owned(),
    };
    Problem::conflict(format!(
        "workflows call each other as tools more than {than}; does one call itself?"
    ))
}

fn refusal(outcome: &str, what: &str) -> Problem {
    match outcome {
        "missing" => Problem::not_found(format!("there is no such {what}")),
        "paused" => Problem::conflict("the deployment is paused; it runs again once it is resumed"),
        "key_reused" => {
            Problem::key_reused("this Idempotency-Key was used for a request with other content")
        }
        "forbidden" => Problem::forbidden("this caller may not run that"),
        other => {
            log("run_start", other);
            Problem::internal("the run had an outcome that was not expected")
        }
    }
}
