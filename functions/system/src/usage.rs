//! `GET /api/v1/usage`

use crate::UsageRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Metered requests and runs.
    usage_logs {
        id: Uuid, at: Time, kind: Text, user_id: Uuid, key_id: Uuid, route: Text, workflow_id: Uuid,
        execution_id: Uuid, trace_id: Text, node_id: Text, provider: Text, model: Text, units: Int,
        duration_us: Int, prompt_tokens: Int, completion_tokens: Int, cost_pusd: Int,
    }
}
use usage_logs as col;

const SHOWN: &[Column] = &[
    col::id,
    col::at,
    col::kind,
    col::user_id,
    col::key_id,
    col::route,
    col::workflow_id,
    col::execution_id,
    col::trace_id,
    col::provider,
    col::model,
    col::units,
    col::duration_us,
    col::prompt_tokens,
    col::completion_tokens,
    col::cost_pusd,
];

/// What was used.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Id (UUIDv7).
    id: String,
    /// RFC 3339.
    at: String,
    /// What was metered, such as `run`.
    kind: String,
    /// Who.
    user_id: Option<String>,
    /// With which API key.
    key_id: Option<String>,
    /// The route.
    route: Option<String>,
    /// The workflow.
    workflow_id: Option<String>,
    /// The run.
    execution_id: Option<String>,
    /// Its trace.
    trace_id: Option<String>,
    /// The provider.
    provider: Option<String>,
    /// The model.
    model: Option<String>,
    /// How many.
    units: i64,
    /// How long, µs.
    duration_us: Option<i64>,
    /// Tokens in.
    prompt_tokens: i64,
    /// Tokens out.
    completion_tokens: i64,
    /// Cost, 10⁻¹² USD.
    cost_pusd: i64,
}

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only this user's (UUID).
    user_id: Option<String>,
    /// Only this key's (UUID).
    key_id: Option<String>,
    /// Only this workflow's (UUID).
    workflow_id: Option<String>,
    /// From this time on (RFC 3339).
    from: Option<String>,
    /// Before this time (RFC 3339).
    to: Option<String>,
}

/// Newest first.
pub async fn list(
    caller: Caller<UsageRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Usage>>, Problem> {
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(uuid_filter(col::user_id, query.user_id)?)
        .filter_if(uuid_filter(col::key_id, query.key_id)?)
        .filter_if(uuid_filter(col::workflow_id, query.workflow_id)?)
        .filter_if(query.from.map(|time| Filter::Gte(col::at, time)))
        .filter_if(query.to.map(|time| Filter::Lt(col::at, time)));
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |row: &Usage| &row.id)
        .await
}
