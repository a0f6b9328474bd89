//! Runs that end with their driver.

use std::sync::Arc;

use nodeai_engine::{
    Compiled, Event, Illegal, Labels, MOST_DEPTH, MOST_STEPS, RULES, Run, RunBudget, RunError,
    RunStarted, Status, Totals, What,
};
use nodeai_telemetry::{Span, TraceContext};
use serde_json::Value;

use crate::drive::{Driver, shared};
use crate::durable::Ended;
use crate::{CachePort, Clock, Entropy, HttpPort, Ports, SecretPort, Signals, Sink, UrlGuard};

/// How a run is driven.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most attempts at the same time.
    pub max_concurrency: u32,
    /// How deep workflows may call workflows.
    pub max_depth: u32,
    /// Most nodes that may run, each iteration's counted anew.
    pub max_steps: u64,
    /// Most time for the whole run, in ms.
    pub timeout_ms: u64,
    /// Which URLs may be called.
    pub guard: UrlGuard,
    /// What the run may cost, beside what its document says.
    pub budget: RunBudget,
    /// The user as whom it acts. Without one, what only some users may see is not kept for others to come.
    pub user_id: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_concurrency: 16,
            max_depth: MOST_DEPTH,
            max_steps: MOST_STEPS,
            timeout_ms: 600_000,
            guard: UrlGuard::default(),
            budget: RunBudget::default(),
            user_id: None,
        }
    }
}

/// What a run starts from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The execution's id.
    pub execution_id: String,
    /// The workflow's name; may be empty.
    pub name: String,
    /// The inputs, as [`Compiled::check_inputs`] gave them back.
    pub inputs: Value,
    /// The run's place in its trace: `span_id` becomes the run's root span.
    pub trace: TraceContext,
    /// By what its spans are found and counted.
    pub labels: Labels,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// How.
    pub status: Status,
    /// The output nodes' values by name.
    pub outputs: Value,
    /// Tokens and cost.
    pub usage: Totals,
    /// Why it did not succeed.
    pub error: Option<RunError>,
    /// The whole log.
    pub log: Vec<Event>,
    /// The log as spans, the root first.
    pub spans: Vec<Span>,
    /// When it began, µs since the Unix epoch.
    pub started_us: i64,
    /// When it ended, µs since the Unix epoch.
    pub finished_us: i64,
}

/// Runs a workflow to its end. `signals` say when the run is to end early, and bring answers
/// to nodes that wait. Dropping the future drops the run.
pub async fn run<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>(
    plan: Arc<Compiled>,
    start: Start,
    options: Options,
    ports: &Ports<'_, H, C, E, S, L, K>,
    signals: &impl Signals,
) -> Finished {
    let began = began(&plan, start, &options, ports.entropy);
    let shared = shared(ports, &options, &plan, &[]);
    let mut driver = Driver::new(&shared, Run::new(plan), Vec::new(), None);
    driver.accept(began).await;
    let (deadline_us, timeout_ms) = (
        deadline_us(ports.clock.now_us(), &options),
        options.timeout_ms,
    );
    finished(driver.drive(deadline_us, timeout_ms, signals).await)
}

/// Takes a run up again from its log. Attempts that were at work when it stopped are
/// reported as lost and tried again.
///
/// # Errors
/// When the log is not one of this document.
pub async fn resume<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>(
    plan: Arc<Compiled>,
    log: Vec<Event>,
    options: Options,
    ports: &Ports<'_, H, C, E, S, L, K>,
    signals: &impl Signals,
) -> Result<Finished, Illegal> {
    let shared = shared(ports, &options, &plan, &log);
    let (run, missing) = Run::replay(plan, &log)?;
    let (deadline_us, timeout_ms) = (
        deadline_us(ports.clock.now_us(), &options),
        options.timeout_ms,
    );
    let mut driver = Driver::new(&shared, run, log, None);
    driver.take_over(missing).await;
    Ok(finished(
        driver.drive(deadline_us, timeout_ms, signals).await,
    ))
}

/// The first fact of a run.
pub(crate) fn began(
    plan: &Compiled,
    start: Start,
    options: &Options,
    entropy: &impl Entropy,
) -> What {
    let mut seed = [0; 4];
    entropy.fill(&mut seed);
    What::RunStarted(Box::new(RunStarted {
        execution_id: start.execution_id,
        trace_id: start.trace.trace_id,
        span_id: start.trace.span_id,
        parent_span_id: start.trace.parent,
        name: start.name,
        inputs: start.inputs,
        definition_hash: plan.hash().to_owned(),
        seed: u32::from_le_bytes(seed),
        max_concurrency: options.max_concurrency,
        max_depth: options.max_depth,
        max_steps: options.max_steps,
        rules: RULES,
        reused: plan.reused().clone(),
        labels: start.labels,
    }))
}

fn deadline_us(from_us: i64, options: &Options) -> i64 {
    from_us.saturating_add_unsigned(options.timeout_ms.saturating_mul(1_000))
}

/// Without a journal a run neither rests nor is lost.
fn finished(ended: Ended) -> Finished {
    match ended {
        Ended::Finished { finished, .. } => *finished,
        Ended::Resting { .. } | Ended::Lost => unreachable!("only a journal lets a run rest"),
    }
}
