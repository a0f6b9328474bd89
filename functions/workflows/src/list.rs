//! `GET /api/v1/workflows`

use crate::WorkflowsRead;
use crate::model::{BRIEF, WorkflowBrief};
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select, tables::workflows as col};
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
    /// Text in the name, ignoring case.
    name: Option<String>,
    /// Only workflows with this tag.
    tag: Option<String>,
}

/// Newest first.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<WorkflowBrief>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let select = Select::from(col::TABLE, BRIEF)
        .filter(Filter::IsNull(col::deleted_at))
        .filter_if(query.name.map(|text| Filter::ContainsText(col::name, text)))
        .filter_if(query.tag.map(|tag| Filter::HasElement(col::tags, tag)))
        .page(
            col::created_at,
            col::id,
            after.map(|k| (k.at, k.id)),
            limit + 1,
        );
    let rows: Vec<WorkflowBrief> = caller.select(select).await?;
    let position = |row: &WorkflowBrief| Keyset {
        at: row.created_at.clone(),
        id: row.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
