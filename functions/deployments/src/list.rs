//! `GET /api/v1/deployments`

use crate::DeploymentsRead;
use crate::model::{Deployment, Environment, SHOWN, deployments as col};
use nodeai_app::inputs::uuid_filter;
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
    /// Only this environment's.
    environment: Option<Environment>,
    /// Only this workflow's (UUID).
    workflow_id: Option<String>,
    /// Only those with this slug: at most one in each environment.
    slug: Option<String>,
}

/// Newest first.
pub async fn handle(
    caller: Caller<DeploymentsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Deployment>>, Problem> {
    let environment = query.environment.map(|e| e.as_str().to_owned());
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(environment.map(|name| Filter::Eq(col::environment, name)))
        .filter_if(uuid_filter(col::workflow_id, query.workflow_id)?)
        .filter_if(query.slug.map(|slug| Filter::Eq(col::slug, slug)));
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |d: &Deployment| &d.id)
        .await
}
