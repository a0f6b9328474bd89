//! `GET /api/v1/cost-intelligence/reconciliations` and `…/reconciliations/{id}`

use super::model::{COLUMNS, Reconciliation, cost_reconciliations as col};
use crate::CostsRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first.
pub async fn list(
    caller: Caller<CostsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Reconciliation>>, Problem> {
    let select = Select::from(col::TABLE, COLUMNS);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |row: &Reconciliation| &row.id)
        .await
}

/// One.
pub async fn get(
    caller: Caller<CostsRead>,
    PathId(id): PathId,
) -> Result<Json<Reconciliation>, Problem> {
    let mut select = Select::from(col::TABLE, COLUMNS);
    select.filters = vec![Filter::Eq(col::id, id)];
    caller.find(select, "reconciliation").await.map(Json::ok)
}
