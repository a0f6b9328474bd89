//! `POST /api/v1/workflows/execute/{id}/replay`

use crate::{WorkflowsRead, recording};
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::{Problem, reply::Json};
use nodeai_runs::model::RunFailure;
use nodeai_travel::{Attempts, Divergence, replay};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// What is wanted of a replay.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayQuery {
    /// `true` for the replayed log, event by event.
    events: Option<bool>,
}

/// What came of a replay.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Replay {
    /// The run.
    execution_id: String,
    /// Whether the replayed log is the recorded one, byte for byte, and every attempt does again what it did.
    identical: bool,
    /// `succeeded`, `failed` or `cancelled`; null when the replay did not come to an end.
    status: Option<String>,
    /// Values of the output nodes, as the replay has them.
    outputs: Value,
    /// What failed.
    error: Option<RunFailure>,
    /// What was compared.
    attempts: Attempts,
    /// How many differences there are.
    differences: u64,
    /// The first of them.
    divergence: Option<Divergence>,
    /// The replayed log.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<Value>>,
}

/// Runs the recording again: nothing outside is called, no secret is opened, nothing is written.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
    Query(query): Query<ReplayQuery>,
) -> Result<Json<Replay>, Problem> {
    let recorded = recording::whole(&caller, &id).await?;
    let compiled = recorded.compiled(&caller).await?;
    let replayed = replay(Arc::new(compiled), &recorded.recording);
    let wanted = query.events.unwrap_or(false);
    let events = wanted.then(|| replayed.events.iter().map(|event| json!(event)));
    Ok(Json::ok(Replay {
        execution_id: id,
        identical: replayed.identical,
        status: replayed.status.map(|status| status.as_str().to_owned()),
        outputs: replayed.outputs,
        error: replayed.error.map(Into::into),
        attempts: replayed.attempts,
        differences: replayed.differences,
        divergence: replayed.divergence,
        events: events.map(Iterator::collect),
    }))
}
