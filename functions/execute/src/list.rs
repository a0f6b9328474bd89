//! `GET /api/v1/workflows/execute`

use crate::WorkflowsRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_runs::model::{ForkedFrom, RunFailure, Usage};
use nodeai_store::{Column, Filter, Select, tables::execution_queue as col};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const COLUMNS: &[Column] = &[
    col::id,
    col::workflow_id,
    col::workflow_version,
    col::deployment_id,
    col::deployment_version,
    col::environment,
    col::forked_from,
    col::forked_node,
    col::trace_id,
    col::status,
    col::mode,
    col::error,
    col::prompt_tokens,
    col::completion_tokens,
    col::cost_pusd,
    col::created_at,
    col::finished_at,
];

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only runs of this workflow (UUID).
    workflow_id: Option<String>,
    /// Only runs that came through this deployment (UUID).
    deployment_id: Option<String>,
    /// Only forks of this run (UUID).
    forked_from: Option<String>,
    /// Only runs in this state.
    status: Option<State>,
}

/// State of a run.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a runner.
    Queued,
    /// At work.
    Running,
    /// Waits for something outside.
    Waiting,
    /// Ended well.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Ended by somebody.
    Cancelled,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    workflow_id: Option<String>,
    workflow_version: Option<i64>,
    deployment_id: Option<String>,
    deployment_version: Option<i64>,
    environment: Option<String>,
    forked_from: Option<String>,
    forked_node: Option<String>,
    trace_id: String,
    status: String,
    mode: String,
    error: Option<RunFailure>,
    prompt_tokens: i64,
    completion_tokens: i64,
    cost_pusd: i64,
    created_at: String,
    finished_at: Option<String>,
}

/// A run in a list: without inputs and outputs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExecutionBrief {
    /// The run.
    execution_id: String,
    /// Its workflow, when it is a stored one.
    workflow_id: Option<String>,
    /// The workflow's version that ran.
    workflow_version: Option<i64>,
    /// The deployment that it came through.
    deployment_id: Option<String>,
    /// The deployment's own version then.
    deployment_version: Option<i64>,
    /// The deployment's environment then.
    environment: Option<String>,
    /// The run that it was forked from.
    forked_from: Option<ForkedFrom>,
    /// Its trace.
    trace_id: String,
    /// State.
    status: String,
    /// `sync`, `stream` or `queued`.
    mode: String,
    /// Tokens and cost.
    usage: Usage,
    /// What failed.
    error: Option<RunFailure>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    finished_at: Option<String>,
}

impl From<Row> for ExecutionBrief {
    fn from(row: Row) -> Self {
        Self {
            execution_id: row.id,
            workflow_id: row.workflow_id,
            workflow_version: row.workflow_version,
            deployment_id: row.deployment_id,
            deployment_version: row.deployment_version,
            environment: row.environment,
            forked_from: row
                .forked_from
                .zip(row.forked_node)
                .map(|(execution_id, node)| ForkedFrom { execution_id, node }),
            trace_id: row.trace_id,
            status: row.status,
            mode: row.mode,
            usage: Usage::new(row.prompt_tokens, row.completion_tokens, row.cost_pusd),
            error: row.error,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

/// Newest first: ids are UUIDv7, so their order is that of time.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ExecutionBrief>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let status = query
        .status
        .map(|s| Filter::Eq(col::status, format!("{s:?}").to_lowercase()));
    let select = Select::from(col::TABLE, COLUMNS)
        .filter_if(uuid_filter(col::workflow_id, query.workflow_id)?)
        .filter_if(uuid_filter(col::deployment_id, query.deployment_id)?)
        .filter_if(uuid_filter(col::forked_from, query.forked_from)?)
        .filter_if(status)
        .newest(col::id, after.map(|k| k.id), limit + 1);
    let rows: Vec<Row> = caller.select(select).await?;
    let runs = rows.into_iter().map(ExecutionBrief::from).collect();
    let position = |run: &ExecutionBrief| Keyset {
        at: String::new(),
        id: run.execution_id.clone(),
    };
    Ok(Json::ok(Page::cut(runs, limit, position)))
}
