//! `GET /api/v1/oauth/providers`

use crate::OauthRead;
use crate::model::{PROVIDER, ProviderShown, oauth_providers as col};
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
    /// Only the one with this slug.
    slug: Option<String>,
}

/// Newest first.
pub async fn handle(
    caller: Caller<OauthRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ProviderShown>>, Problem> {
    let select = Select::from(col::TABLE, PROVIDER)
        .filter_if(query.slug.map(|slug| Filter::Eq(col::slug, slug)));
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |row: &ProviderShown| &row.id)
        .await
}
