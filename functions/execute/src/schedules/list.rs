//! `GET /api/v1/workflows/execute/schedules`

use super::SchedulesRead;
use super::model::{SHOWN, Schedule, schedules as col};
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
    /// Only those that run this workflow (UUID).
    workflow_id: Option<String>,
    /// Only those that run this deployment (UUID).
    deployment_id: Option<String>,
    /// Only those that stand still, or that do not.
    paused: Option<bool>,
}

/// Newest first.
pub async fn handle(
    caller: Caller<SchedulesRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Schedule>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let paused = query.paused;
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(uuid_filter(col::workflow_id, query.workflow_id)?)
        .filter_if(uuid_filter(col::deployment_id, query.deployment_id)?)
        .filter_if(paused.map(|paused| Filter::Eq(col::paused, paused.to_string())))
        .newest(col::id, after.map(|k| k.id), limit + 1);
    let rows: Vec<Schedule> = caller.select(select).await?;
    let now_us = clock::now_us();
    let rows = rows
        .into_iter()
        .map(|schedule| schedule.at(now_us))
        .collect();
    let position = |schedule: &Schedule| Keyset {
        at: String::new(),
        id: schedule.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
