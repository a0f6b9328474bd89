//! JavaScript without a host: the body of a user's function over JSON values, by Boa. No network, files, timers or modules;
//! the clock stands still and chance is seeded, so that the same job always gives the same; steps, depth and size are bounded.
//!
//! What no interpreter can bound by itself is its host's part: memory (see [`Meter`]) and the time that one built-in
//! function takes, such as a regular expression that goes back and forth.

pub mod answer;
mod convert;
mod fault;
mod globals;
mod host;

use std::path::Path;
use std::rc::Rc;

use boa_engine::builtins::promise::PromiseState;
use boa_engine::module::IdleModuleLoader;
use boa_engine::object::builtins::JsPromise;
use boa_engine::{Context, JsError, JsResult, JsValue, Script, Source};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::fault::{Failure, Kind};
pub use self::globals::{Line, written};
pub use nodeai_once::{Exceeded, Meter};

/// A function to run, and what it sees.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The body of an async function.
    pub source: String,
    /// Values by the name under which the code sees them.
    #[serde(default)]
    pub globals: Map<String, Value>,
    /// What the clock shows, ms since the Unix epoch.
    #[serde(default)]
    pub now_ms: u64,
    /// What `Math.random` follows from.
    #[serde(default)]
    pub seed: String,
    /// Bounds; those of the default cannot be exceeded.
    #[serde(default)]
    pub limits: Limits,
}

/// Bounds of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Instructions of the interpreter.
    pub steps: u64,
    /// Bytes of the result as JSON.
    pub output_bytes: usize,
    /// Lines written to the console.
    pub log_lines: usize,
    /// Bytes written to the console.
    pub log_bytes: usize,
    /// Time in ms. An interpreter has no clock: this is for whoever runs the job, with a [`Meter`].
    pub wall_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 100_000_000,
            output_bytes: 4 << 20,
            log_lines: 100,
            log_bytes: 16 << 10,
            wall_ms: 10_000,
        }
    }
}

impl Limits {
    /// These, but none above `most`.
    pub fn within(self, most: Self) -> Self {
        Self {
            steps: self.steps.min(most.steps),
            output_bytes: self.output_bytes.min(most.output_bytes),
            log_lines: self.log_lines.min(most.log_lines),
            log_bytes: self.log_bytes.min(most.log_bytes),
            wall_ms: self.wall_ms.min(most.wall_ms),
        }
    }
}

/// Most functions that call each other.
const MOST_CALLS: usize = 1_000;
/// Most values on the interpreter's stack.
const MOST_STACK: usize = 256 * 1024;
/// The name of the source in traces of the interpreter.
const PATH: &str = "code";

/// A job that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// What the function returned, as JSON; null for nothing.
    pub result: Result<Value, Failure>,
    /// What it wrote to the console.
    pub logs: Vec<Line>,
    /// Instructions that it took.
    pub steps: u64,
}

/// Runs a job to its end, in an interpreter of its own: nothing is left of it for the next.
pub fn run(job: &Job) -> Ended {
    let limits = job.limits.within(Limits::default());
    globals::begin(&limits, &job.seed);
    // The interpreter panics in places where a bound ends what it takes to be unending. In Wasm that is the instance's end.
    let ended = std::panic::catch_unwind(|| match context(job, limits) {
        Ok(mut context) => {
            let result = call(job, limits, &mut context);
            let left = context.instructions_remaining() as u64;
            (result, limits.steps.saturating_sub(left))
        }
        Err(error) => (Err(Failure::internal(&error)), 0),
    });
    let (result, steps) = ended.unwrap_or_else(|_| (Err(Failure::gave_up()), limits.steps));
    Ended {
        result,
        logs: globals::end(),
        steps,
    }
}

fn context(job: &Job, limits: Limits) -> JsResult<Context> {
    let steps = usize::try_from(limits.steps).unwrap_or(usize::MAX);
    let mut context = Context::builder()
        .host_hooks(Rc::new(host::Hooks))
        .clock(Rc::new(host::Frozen(job.now_ms)))
        .job_executor(Rc::new(host::Jobs::default()))
        .module_loader(Rc::new(IdleModuleLoader))
        .can_block(false)
        .instructions_remaining(steps)
        .build()?;
    let bounds = context.runtime_limits_mut();
    bounds.set_recursion_limit(MOST_CALLS);
    bounds.set_stack_size_limit(MOST_STACK);
    globals::define(&job.globals, &mut context)?;
    Ok(context)
}

fn call(job: &Job, limits: Limits, context: &mut Context) -> Result<Value, Failure> {
    // The body begins in the second line.
    let wrapped = format!("(async function () {{\n{}\n}})()", job.source);
    fault::check_syntax(&job.source, &wrapped, context)?;
    // What the code may replace later is taken before.
    let converter = convert::Converter::new(context).map_err(|error| Failure::internal(&error))?;
    let source = Source::from_bytes(&wrapped).with_path(Path::new(PATH));
    let script = Script::parse(source, None, context);
    let script = script.map_err(|error| Failure::of_script(&error))?;
    let returned = settle(&script, context);
    let returned = returned.map_err(|error| Failure::of(error, job, context))?;
    let written = converter.result(&returned, limits.output_bytes, context);
    written.map_err(|stop| Failure::of_stop(stop, job, context))
}

/// Runs the function and everything that it awaits.
fn settle(script: &Script, context: &mut Context) -> JsResult<JsValue> {
    let returned = script.evaluate(context)?;
    context.run_jobs()?;
    // An async function always returns a promise.
    let promise = returned.as_object().ok_or_else(host::never_settles)?;
    match JsPromise::from_object(promise)?.state() {
        PromiseState::Fulfilled(value) => Ok(value),
        PromiseState::Rejected(reason) => Err(JsError::from_opaque(reason)),
        PromiseState::Pending => Err(host::never_settles()),
    }
}
