//! Jobs on one's own account: export and deletion. A job is done in steps, each one call of the store that commits by
//! itself; whoever asks for the job moves it on, so nothing has to run while nobody asks.

pub mod archive;
pub mod cancel;
pub mod deletion;
pub mod export;
pub mod get;
pub mod list;

use nodeai_app::{Caller, Scope};
use nodeai_http::{Problem, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long a request goes on with a job after its answer, µs; below every host's limit.
const BEHIND_US: i64 = 15_000_000;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Puts everything that is the user's own into an archive.
    Export,
    /// Removes the account.
    Deletion,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Has not begun.
    Queued,
    /// At work.
    Running,
    /// Ended well.
    Done,
    /// Ended with an error.
    Failed,
    /// Was taken back.
    Cancelled,
}

/// A step of a job.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What it is about: for an export the kind of lines, such as `workflows`; for a deletion `access`, `secrets`,
    /// `data` or `account`.
    name: String,
    /// `waiting`, `running` or `done`.
    status: String,
    /// Rows so far.
    rows: i64,
}

/// How many steps are done.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Steps that are done.
    done: i64,
    /// All steps.
    total: i64,
}

/// A job.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Id (UUIDv7).
    id: String,
    /// What it does.
    kind: Kind,
    /// Where it stands.
    status: Status,
    /// In order.
    steps: Vec<Step>,
    /// In short.
    progress: Progress,
    /// Lines of the archive.
    lines: i64,
    /// Size of the archive.
    bytes: i64,
    /// Why it failed.
    error: Option<String>,
    /// When it begins, RFC 3339.
    starts_at: String,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
    /// RFC 3339.
    finished_at: Option<String>,
    /// When the archive goes, or the record of a deletion, RFC 3339.
    expires_at: Option<String>,
    /// Whether there is more to do at once.
    #[serde(default, skip_serializing)]
    more: bool,
}

/// The caller's job `id` after one more step. Errors: 404.
async fn step<S: Scope>(caller: &Caller<S>, id: &str) -> Result<Job, Problem> {
    let args = json!({"id": id, "advance": true});
    let job: Option<Job> = caller.call("profile_job", &args).await?;
    job.ok_or_else(|| Problem::not_found("there is no such job"))
}

/// The caller's job `id` after the steps that fit into `budget_us` of the request. Errors: 404.
async fn advance<S: Scope>(caller: &Caller<S>, id: &str, budget_us: i64) -> Result<Job, Problem> {
    loop {
        let job = step(caller, id).await?;
        if !job.more || caller.cx.elapsed_us() > budget_us {
            return Ok(job);
        }
    }
}

/// Goes on with the new job `id` after its `answer`. What is left then is done by whoever asks for it, or by housekeeping.
fn go_on<S: Scope>(caller: Caller<S>, id: String, answer: &Response) {
    if answer.headers().contains_key("idempotency-replayed") {
        return; // that answer is about the job of the first request
    }
    let env = caller.cx.env().clone();
    env.spawn(Box::pin(async move {
        // The request's own connection may be in use for its span.
        caller.session.release();
        if let Err(problem) = advance(&caller, &id, BEHIND_US).await {
            let detail = problem.detail.unwrap_or_default();
            nodeai_app::errors::log("job", &detail);
        }
    }));
}
