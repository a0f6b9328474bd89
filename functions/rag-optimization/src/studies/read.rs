//! `GET /api/v1/rag-optimization/studies`, `GET /api/v1/rag-optimization/studies/{id}`

use super::model::{SHOWN, Study, col};
use crate::OptimizationsRead;
use http::header;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, PathId, Query};
use nodeai_evaluation::state::State;
use nodeai_http::page::Page;
use nodeai_http::{Problem, etag, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only those of this workflow (UUID).
    workflow_id: Option<String>,
    /// Only those of this dataset (UUID).
    dataset_id: Option<String>,
    /// Only those that repeat this one (UUID).
    repeats: Option<String>,
    /// Only those in this state.
    status: Option<State>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Studies, newest first.
pub async fn list(
    caller: Caller<OptimizationsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Study>>, Problem> {
    let mut select = Select::from(col::TABLE, SHOWN);
    let ids = [
        (col::workflow_id, query.workflow_id),
        (col::dataset_id, query.dataset_id),
        (col::repeats, query.repeats),
    ];
    for (column, id) in ids {
        if let Some(filter) = uuid_filter(column, id)? {
            select = select.filter(filter);
        }
    }
    if let Some(state) = query.status {
        select = select.filter(Filter::Eq(col::status, state.name().to_owned()));
    }
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |one: &Study| &one.id)
        .await
}

/// One study with its progress, and its outcome once it has ended.
pub async fn get(
    caller: Caller<OptimizationsRead>,
    PathId(id): PathId,
) -> Result<Json<Study>, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let found: Study = caller.find(select, "study").await?;
    let tag = etag::of(found.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}
