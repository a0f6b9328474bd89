//! `GET /api/v1/rag-evaluation/syntheses`, `GET /api/v1/rag-evaluation/syntheses/{id}`

use super::model::{SHOWN, Synthesis, col};
use crate::EvaluationsRead;
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
pub struct SynthesesQuery {
    /// Only those for this dataset (UUID).
    dataset_id: Option<String>,
    /// Only those in this state.
    status: Option<State>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Syntheses, newest first.
pub async fn list(
    caller: Caller<EvaluationsRead>,
    Query(query): Query<SynthesesQuery>,
) -> Result<Json<Page<Synthesis>>, Problem> {
    let mut select = Select::from(col::TABLE, SHOWN);
    if let Some(filter) = uuid_filter(col::dataset_id, query.dataset_id)? {
        select = select.filter(filter);
    }
    if let Some(state) = query.status {
        select = select.filter(Filter::Eq(col::status, state.name().to_owned()));
    }
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |one: &Synthesis| &one.id)
        .await
}

/// One synthesis with its progress, and its outcome once it has ended.
pub async fn get(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
) -> Result<Json<Synthesis>, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let found: Synthesis = caller.find(select, "synthesis").await?;
    let tag = etag::of(found.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}
