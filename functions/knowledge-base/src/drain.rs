//! `POST /api/v1/knowledge-base/drain`

use crate::KnowledgeRun;
use crate::work::Worker;
use nodeai_app::{DrainRequest, Drainer, Valid, clock};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::Serialize;

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Drained {
    /// Documents that were taken up, each for one index.
    taken: u32,
    /// Of them, those that are ready.
    ready: u32,
    /// Of them, those that go on or are tried again later.
    later: u32,
    /// Of them, those that failed.
    failed: u32,
    /// `nothing` (is due) or `more` (may be due).
    left: &'static str,
    /// When something will be due, RFC 3339. Only for whoever drains for everybody.
    due_at: Option<String>,
}

/// Takes up documents that wait, four at a time; switches to indexes that are complete.
pub async fn handle(
    drainer: Drainer<KnowledgeRun>,
    Valid(request): Valid<DrainRequest>,
) -> Result<Json<Drained>, Problem> {
    // What is drained opens connections of its own.
    drainer.release();
    let worker = Worker::new(&drainer.cx().app, drainer.org_id()).await?;
    let time_us = request.time_ms().saturating_mul(1_000);
    let until_us = clock::now_us().saturating_add_unsigned(time_us);
    let done = worker.drain(request.most(), until_us).await?;
    Ok(Json::ok(Drained {
        taken: done.taken,
        ready: done.ready,
        later: done.later,
        failed: done.failed,
        left: if done.more { "more" } else { "nothing" },
        due_at: done.due_us.map(clock::rfc3339),
    }))
}
