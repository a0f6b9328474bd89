//! `GET /api/v1/webhooks/incoming`

use super::model::{Incoming, READ, Row, webhooks as col};
use crate::WebhooksRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query};
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
}

/// Newest first.
pub async fn handle(
    caller: Caller<WebhooksRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Incoming>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let select = Select::from(col::TABLE, READ)
        .filter(Filter::Eq(col::direction, "in".to_owned()))
        .filter_if(uuid_filter(col::workflow_id, query.workflow_id)?)
        .filter_if(uuid_filter(col::deployment_id, query.deployment_id)?)
        .newest(col::id, after.map(|k| k.id), limit + 1);
    let rows: Vec<Row> = caller.select(select).await?;
    let rows = rows.into_iter().map(Incoming::from).collect();
    let position = |webhook: &Incoming| Keyset {
        at: String::new(),
        id: webhook.id.clone(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
