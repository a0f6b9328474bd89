//! `GET /api/v1/workflows/execute/{id}/diff`

use crate::recording::Recorded;
use crate::{WorkflowsRead, recording};
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::{Keyset, checked_limit, decode_cursor, encode_cursor};
use nodeai_http::{FieldError, Problem, reply::Json};
use nodeai_runs::model::{ForkedFrom, RunFailure, Usage};
use nodeai_travel::{Changes, Pair, StepDiff, changes, pair, steps};
use nodeai_versions::Diff;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which run is compared with, and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// The other run (UUID), `b`; for a fork, the run that it was forked from unless given.
    with: Option<String>,
    /// `true` for steps that differ alone.
    changed: Option<bool>,
    /// Steps per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One of the two runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Side {
    /// The run.
    execution_id: String,
    /// Its workflow, when it is a stored one.
    workflow_id: Option<String>,
    /// The workflow's version that ran.
    workflow_version: Option<i64>,
    /// The run that it was forked from.
    forked_from: Option<ForkedFrom>,
    /// How it ended.
    status: String,
    /// Why it did not succeed.
    error: Option<RunFailure>,
    /// From start to end.
    duration_ms: Option<f64>,
    /// Tokens and cost.
    usage: Usage,
}

/// How many steps are what.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Summary {
    /// The same in both.
    same: u64,
    /// In both, and not the same.
    changed: u64,
    /// In the first run alone.
    only_in_a: u64,
    /// In the other alone.
    only_in_b: u64,
}

/// What differs between two runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunDiff {
    /// The run of the path.
    a: Side,
    /// The other one.
    b: Side,
    /// What makes the other's inputs of the first one's.
    inputs: Changes,
    /// What makes the other's outputs of the first one's.
    outputs: Changes,
    /// What differs between the workflows that ran, on the first page; null when nothing does, or one of them is not
    /// there any more.
    definition: Option<Diff>,
    /// How many steps are what.
    summary: Summary,
    /// Step by step, in the first run's order; then what only the other has.
    data: Vec<StepDiff>,
    /// Cursor of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// Compares two runs that have ended.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
    Query(query): Query<DiffQuery>,
) -> Result<Json<RunDiff>, Problem> {
    let limit = checked_limit(query.limit)? as usize;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let first = after.as_ref().map_or(Ok(0), place)?;
    let a = recording::whole(&caller, &id).await?;
    let other = other(&a, query.with.as_deref())?;
    let b = recording::whole(&caller, &other).await?;
    let (of_a, of_b) = (steps(a.recording.events()), steps(b.recording.events()));
    let mut pairs = pair(&of_a, &of_b);
    let summary = summary(&pairs);
    if query.changed.unwrap_or(false) {
        pairs.retain(|pair| !pair.same());
    }
    let data = pairs.iter().skip(first).take(limit).map(Pair::diff);
    let next = (pairs.len() > first.saturating_add(limit)).then(|| Keyset {
        at: String::new(),
        id: (first + limit).to_string(),
    });
    Ok(Json::ok(RunDiff {
        inputs: changes(&a.execution.inputs, &b.execution.inputs),
        outputs: changes(&a.execution.outputs, &b.execution.outputs),
        definition: definition(&a, &b).filter(|_| first == 0),
        summary,
        data: data.collect(),
        next_cursor: next.as_ref().map(encode_cursor),
        a: side(a),
        b: side(b),
    }))
}

fn place(after: &Keyset) -> Result<usize, Problem> {
    after.id.parse().map_err(|_| {
        let detail = "the cursor is not one that this API gave";
        Problem::fields(vec![FieldError::parameter("cursor", "invalid", detail)])
    })
}

/// The other run's id. Errors: 400.
fn other(a: &Recorded, with: Option<&str>) -> Result<String, Problem> {
    let wrong = |code: &str, detail: &str| {
        Problem::fields(vec![FieldError::parameter("with", code, detail)])
    };
    match (with, &a.execution.forked_from) {
        (Some(with), _) => Uuid::parse_str(with)
            .map(|id| id.to_string())
            .map_err(|_| wrong("format", "must be a UUID")),
        (None, Some(from)) => Ok(from.execution_id.clone()),
        (None, None) => Err(wrong("required", "the run is no fork: say which other run")),
    }
}

fn summary(pairs: &[Pair<'_>]) -> Summary {
    let mut summary = Summary::default();
    for pair in pairs {
        let count = match (pair.a, pair.b) {
            (Some(_), Some(_)) if pair.same() => &mut summary.same,
            (Some(_), Some(_)) => &mut summary.changed,
            (Some(_), None) => &mut summary.only_in_a,
            _ => &mut summary.only_in_b,
        };
        *count += 1;
    }
    summary
}

fn definition(a: &Recorded, b: &Recorded) -> Option<Diff> {
    let (a, b) = (a.workflow().ok()?, b.workflow().ok()?);
    let diff = nodeai_versions::diff(&a.definition, &b.definition);
    (!diff.is_empty()).then_some(diff)
}

fn side(recorded: Recorded) -> Side {
    let run = recorded.execution;
    let ran_us = run.started_us.zip(run.finished_us);
    Side {
        execution_id: run.id,
        workflow_id: run.workflow_id,
        workflow_version: run.workflow_version,
        forked_from: run.forked_from,
        status: run.status,
        error: run.error,
        duration_ms: ran_us.map(|(started, finished)| (finished - started) as f64 / 1_000.0),
        usage: Usage::new(run.prompt_tokens, run.completion_tokens, run.cost_pusd),
    }
}
