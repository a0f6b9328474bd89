//! `GET /api/v1/workflows/execute/memory`

use super::model::{SHOWN, Session, memory_sessions as col};
use crate::WorkflowsRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query, clock};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those of this workflow (UUID).
    workflow_id: Option<String>,
    /// Only those of the memory of this name; empty for the one without a name.
    name: Option<String>,
    /// Only this conversation.
    session: Option<String>,
}

/// Newest first; what is over is not among them.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Session>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let now = clock::rfc3339(clock::now_us());
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(uuid_filter(col::workflow_id, query.workflow_id)?)
        .filter_if(query.name.map(|name| Filter::Eq(col::name, name)))
        .filter_if(query.session.map(|of| Filter::Eq(col::session, of)))
        .filter(Filter::Gt(col::expires_at, now))
        .newest(col::id, after.map(|k| k.id), limit + 1);
    let rows: Vec<Session> = caller.select(select).await?;
    let position = |session: &Session| Keyset {
        at: String::new(),
        id: session.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
