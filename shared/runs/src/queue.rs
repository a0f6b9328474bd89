//! Queued runs: taking them up one after the other, each with the claims of whoever asked for it, and going on with each
//! until it ends, rests or its slice is over.

mod journal;

use crate::commit::{Ran, commit};
use crate::drive::drive_queued;
use crate::model::Stored;
use crate::plan::{Plan, plan};
use crate::signals::{Heartbeat, Lease, Said};
use crate::start::Started;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use journal::{Log, rest};
use nodeai_app::errors::{log, storage_problem, store_problem};
use nodeai_app::settings::Settings;
use nodeai_app::{App, Caller, Cx, Scope, clock};
use nodeai_engine::{Labels, Manifest, Policy, RunBudget, RunError, Status, Totals};
use nodeai_http::Problem;
use nodeai_runner::{Ended, Finished, Journaling};
use nodeai_store::{Claim, Claimed, Session, Store};
use nodeai_telemetry::{Span, TraceContext};
use nodeai_travel::Recording;
use serde::Deserialize;
use serde_json::{Value, json};
use std::rc::Rc;

/// How long a run counts as somebody's without a sign of life, µs; one comes each second.
pub(crate) const LEASE_US: i64 = 20_000_000;
/// How long a worker stays with a run that only waits, µs.
const PATIENCE_US: i64 = 2_000_000;
/// What the context of a queued run is called in usage and logs.
const PATTERN: &str = "/api/v1/workflows/execute";

/// What is to be drained.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    /// Runs of this organisation alone.
    pub org_id: Option<String>,
    /// This run first.
    pub execution_id: Option<String>,
    /// And no other.
    pub alone: bool,
    /// Takes up no more runs than this.
    pub most: u32,
    /// Takes up nothing more after so many ms.
    pub time_ms: u64,
    /// How many runs at the same time.
    pub lanes: usize,
}

/// What was done for one run.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The run.
    pub execution_id: String,
    /// `succeeded`, `failed`, `cancelled`, `waiting` or `lost`.
    pub status: String,
}

/// Why draining ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing is due; something will be then, µs since the Unix epoch.
    Nothing(Option<i64>),
    /// Enough runs are at work elsewhere.
    Busy,
    /// There may be more.
    More,
}

/// The scope that a queued run's owner holds.
struct Run;

impl Scope for Run {
    const NAME: &'static str = "workflows:run";
}

#[derive(Deserialize)]
struct Loaded {
    workflow: Option<Workflow>,
    definition: Option<Value>,
    #[serde(default)]
    budget: Option<RunBudget>,
    #[serde(default)]
    labels: Option<Labels>,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    answers: Vec<Said>,
    pieces: Vec<Value>,
}

#[derive(Deserialize)]
struct Workflow {
    name: String,
    definition: Value,
    #[serde(default)]
    egress: Manifest,
}

/// Takes up what is due, and tells of each run.
///
/// Errors: 503 when the store stays away or is not configured.
pub async fn drain(
    app: &Rc<App>,
    want: &Drain,
    mut told: impl FnMut(&Slice),
) -> Result<Left, Problem> {
    let settings = app.settings().await;
    let until_us = clock::now_us().saturating_add_unsigned(want.time_ms.saturating_mul(1_000));
    let workers = number(app, "nodeai_queue_workers", 16).await;
    let workers = u32::try_from(workers).unwrap_or(u32::MAX);
    let mut only = want.execution_id.as_deref();
    let mut taken = 0;
    let mut left = None;
    let mut failed = None;
    let mut at_work = FuturesUnordered::new();
    loop {
        while left.is_none() && at_work.len() < want.lanes {
            if taken >= want.most || clock::now_us() >= until_us {
                left = Some(Left::More);
                break;
            }
            if want.alone && only.is_none() {
                left = Some(Left::Nothing(None));
                break;
            }
            let ask = Claim {
                org_id: want.org_id.as_deref(),
                execution_id: only.take(),
                lease_us: LEASE_US,
                workers,
            };
            match claim(app, &settings, &ask).await {
                // What is at work must not be dropped for it: its calls would be made again.
                Err(problem) => {
                    failed = Some(problem);
                    left = Some(Left::More);
                }
                Ok(Claimed::Busy) => left = Some(Left::Busy),
                Ok(Claimed::Empty { .. }) if ask.execution_id.is_some() => {}
                Ok(Claimed::Empty { due_us }) => left = Some(Left::Nothing(due_us)),
                Ok(Claimed::Run { session, execution }) => {
                    taken += 1;
                    at_work.push(slice(app, &settings, Rc::from(session), execution));
                }
            }
        }
        match (at_work.next().await, left) {
            (Some(done), found) => {
                told(&done);
                // There may be something again, or a place.
                left = found.filter(|left| *left == Left::More);
            }
            (None, found) => return failed.map_or(Ok(found.unwrap_or(Left::More)), Err),
        }
    }
}

/// Goes on with a run, and with what else is due, after the response. What it leaves is drained by whoever comes next.
pub fn kick(cx: &Rc<Cx>, execution_id: &str) {
    let app = cx.app.clone();
    let execution_id = execution_id.to_owned();
    cx.env().spawn(Box::pin(async move {
        let want = Drain {
            org_id: None,
            execution_id: Some(execution_id),
            alone: false,
            most: u32::MAX,
            time_ms: slice_ms(&app).await,
            lanes: 1,
        };
        if let Err(problem) = drain(&app, &want, |_| {}).await {
            log("queue", problem.detail.as_deref().unwrap_or_default());
        }
    }));
}

async fn claim(app: &Rc<App>, settings: &Settings, ask: &Claim<'_>) -> Result<Claimed, Problem> {
    let backend = settings.backend.as_ref().map_err(storage_problem)?;
    let store = Store::new(backend.clone(), app.env.clone());
    let nonce = clock::hex(&clock::random::<16>());
    let claimed = store.claim(ask, &nonce, clock::now_us() / 1_000_000).await;
    claimed.map_err(store_problem)
}

/// One run as far as it goes now.
async fn slice(
    app: &Rc<App>,
    settings: &Rc<Settings>,
    session: Rc<Session>,
    execution: Value,
) -> Slice {
    let execution_id = execution["id"].as_str().unwrap_or_default().to_owned();
    let status = match serde_json::from_value::<Stored>(execution) {
        Ok(stored) => {
            let cx = Cx::detached(app.clone(), settings.clone(), PATTERN, place(&stored));
            go_on(&Caller::<Run>::acting(Rc::new(cx), session), stored).await
        }
        Err(error) => Err(Problem::internal(error.to_string())),
    };
    // Its lease runs out, and somebody takes it up again.
    let status = status.unwrap_or_else(|problem| {
        log(
            "queued run",
            problem.detail.as_deref().unwrap_or(&problem.title),
        );
        "lost".to_owned()
    });
    Slice {
        execution_id,
        status,
    }
}

/// The run's place in the trace of the request that asked for it.
fn place(stored: &Stored) -> TraceContext {
    let fresh = TraceContext::root(clock::random());
    TraceContext {
        trace_id: stored.trace_id.parse().unwrap_or(fresh.trace_id),
        span_id: parsed(stored.span_id.as_deref()).unwrap_or(fresh.span_id),
        parent: parsed(stored.parent_span_id.as_deref()),
        ..fresh
    }
}

fn parsed<T: std::str::FromStr>(text: Option<&str>) -> Option<T> {
    text?.parse().ok()
}

async fn go_on(caller: &Caller<Run>, stored: Stored) -> Result<String, Problem> {
    let lease = Lease(stored.lease_token.unwrap_or_default());
    let args = json!({"id": stored.id, "org_id": caller.org_id(), "lease_token": lease.0});
    let loaded: Option<Loaded> = caller.call("run_load", &args).await?;
    let Some(loaded) = loaded else {
        return Ok("lost".to_owned());
    };
    let (name, made) = planned(caller, &stored, &loaded).await;
    let plan = match made {
        Ok(plan) => plan,
        Err(problem) if problem.status >= 500 => return Err(problem),
        Err(problem) => return cannot_run(caller, &stored, lease, problem).await,
    };
    let log = match Recording::read(loaded.pieces) {
        Ok(recording) => recording.events().to_vec(),
        Err(error) => return Err(Problem::internal(error.to_string())),
    };
    let started = Started {
        execution_id: stored.id.clone(),
        workflow_id: stored.workflow_id.clone(),
        name,
        environment: stored.environment.clone(),
        plan,
        budget: loaded.budget.unwrap_or_default(),
        labels: loaded.labels.unwrap_or_default(),
        policy: loaded.policy,
        standing: None,
        private: false,
    };
    let signals = Heartbeat::leased(caller, &stored, lease, loaded.answers);
    let journal = Log::new(caller, &stored.id, lease);
    let slice_us = slice_ms(&caller.cx.app).await.saturating_mul(1_000);
    let journaling = Journaling {
        journal: &journal,
        slice_end_us: clock::now_us().saturating_add_unsigned(slice_us),
        patience_us: PATIENCE_US,
    };
    let ended = drive_queued(caller, &started, log, &signals, journaling).await;
    match ended {
        Ok(Ended::Finished { finished, kept }) => {
            let ran = Ran {
                lease: Some(lease),
                kept,
                ..Ran::of(&started)
            };
            Ok(commit(caller, &ran, *finished).await?.status)
        }
        Ok(Ended::Resting {
            until_us,
            waits,
            events,
        }) => rest(&journal, until_us, &waits, &events, signals.seen()).await,
        Ok(Ended::Lost) => Ok("lost".to_owned()),
        Err(illegal) => {
            let problem =
                Problem::conflict(format!("the log does not fit the workflow: {illegal}"));
            cannot_run(caller, &stored, lease, problem).await
        }
    }
}

async fn planned(
    caller: &Caller<Run>,
    stored: &Stored,
    loaded: &Loaded,
) -> (String, Result<Plan, Problem>) {
    let (name, definition) = match (&loaded.workflow, &loaded.definition) {
        (Some(workflow), _) => (workflow.name.clone(), &workflow.definition),
        (None, Some(definition)) => (String::new(), definition),
        (None, None) => {
            let gone = "the workflow is not there any more for whoever asked for this run";
            return (String::new(), Err(Problem::not_found(gone)));
        }
    };
    let inputs = stored.inputs.as_object().cloned().unwrap_or_default();
    let manifest = loaded.workflow.as_ref().map(|stored| stored.egress.clone());
    // What has started is not kept from going on by a policy that is newer.
    let policy = match loaded.pieces.is_empty() {
        true => loaded.policy,
        false => loaded.policy.going_on(),
    };
    let made = plan(caller, definition, inputs).await;
    let held = made.and_then(|mut plan| plan.hold(&policy, manifest).map(|()| plan));
    let own = match stored.error_of {
        Some(_) => held.map(Plan::without_error_workflow),
        None => held,
    };
    (name, own)
}

/// Ends a run that cannot go on, and leaves its trace.
async fn cannot_run(
    caller: &Caller<Run>,
    stored: &Stored,
    lease: Lease,
    problem: Problem,
) -> Result<String, Problem> {
    let now_us = clock::now_us();
    let message = problem.detail.clone().unwrap_or(problem.title);
    let trace = caller.cx.trace;
    let mut span = Span::new(trace.trace_id, trace.span_id, "invoke_workflow", now_us);
    span.parent_span_id = trace.parent;
    span.end_us = now_us;
    span.status = nodeai_telemetry::Status::Error;
    span.set("nodeai.execution_id", stored.id.as_str());
    span.set("error.type", "cannot_run");
    let error = RunError {
        node_id: None,
        path: None,
        kind: "cannot_run".to_owned(),
        message,
    };
    let finished = Finished {
        status: Status::Failed,
        outputs: Value::Null,
        usage: Totals::default(),
        error: Some(error),
        log: Vec::new(),
        spans: vec![span],
        started_us: now_us,
        finished_us: now_us,
    };
    let ran = Ran {
        execution_id: &stored.id,
        workflow_id: stored.workflow_id.as_deref(),
        lease: Some(lease),
        kept: 0,
        plan: None,
        private: false,
    };
    Ok(commit(caller, &ran, finished).await?.status)
}

pub(crate) async fn slice_ms(app: &App) -> u64 {
    number(app, "nodeai_queue_slice_ms", 20_000).await
}

async fn number(app: &App, variable: &'static str, otherwise: u64) -> u64 {
    let set = app.env.get(variable).await;
    set.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
