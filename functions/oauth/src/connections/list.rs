//! `GET /api/v1/oauth/connections`

use crate::OauthRead;
use crate::model::{CONNECTION, Connection, connections as col};
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
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
    /// Only those at the provider with this slug.
    provider: Option<String>,
    /// Only those that are `active`, `expired`, `revoked` or `failed`.
    status: Option<String>,
}

/// One's own and those that are shared, newest first.
pub async fn handle(
    caller: Caller<OauthRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Connection>>, Problem> {
    let select = Select::from(col::TABLE, CONNECTION)
        .filter_if(query.provider.map(|slug| Filter::Eq(col::provider, slug)))
        .filter_if(query.status.map(|status| Filter::Eq(col::status, status)));
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |row: &Connection| &row.id)
        .await
}
