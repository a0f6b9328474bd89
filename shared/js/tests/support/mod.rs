//! Runs a source as a job.

use nodeai_js::{Ended, Failure, Job, Kind, Limits};
use serde_json::{Value, json};

/// A job with little to spend, so that what has no end ends soon.
pub fn job(source: &str, globals: Value) -> Job {
    Job {
        source: source.to_owned(),
        globals: globals.as_object().cloned().unwrap_or_default(),
        now_ms: 1_700_000_000_123,
        seed: "a seed".to_owned(),
        limits: Limits {
            steps: 3_000_000,
            ..Limits::default()
        },
    }
}

/// Runs it on a stack that is large enough also where nothing is optimised.
pub fn run(job: Job) -> Ended {
    let thread = std::thread::Builder::new().stack_size(512 << 20);
    let thread = thread
        .spawn(move || nodeai_js::run(&job))
        .expect("a thread");
    thread.join().expect("no panic")
}

/// What a source returns.
pub fn returns(source: &str) -> Value {
    let ended = run(job(source, json!({"input": {"n": 2, "list": [1, 2, 3]}})));
    ended
        .result
        .unwrap_or_else(|failure| panic!("{source}: {failure:?}"))
}

/// How a source fails.
pub fn fails(source: &str) -> Failure {
    failure_of(job(source, json!({})))
}

fn failure_of(job: Job) -> Failure {
    match run(job.clone()).result {
        Err(failure) => failure,
        Ok(value) => panic!("{} gives {value}", job.source),
    }
}

/// The message of the bound that stops a source.
#[allow(dead_code, reason = "not every file of tests has bounds")]
pub fn stopped(source: &str) -> String {
    let mut job = job(source, json!({}));
    job.limits.steps = 300_000;
    job.limits.output_bytes = 100_000;
    let failure = failure_of(job);
    assert_eq!(failure.kind, Kind::Limit, "{source}: {failure:?}");
    failure.message
}
