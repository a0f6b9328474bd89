//! `GET /api/v1/rag-evaluation/evaluations`, `GET /api/v1/rag-evaluation/evaluations/{id}`

use super::model::{BRIEF, Brief, Evaluation, SHOWN, evaluations as col};
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
pub struct ListQuery {
    /// Only those of this dataset (UUID).
    dataset_id: Option<String>,
    /// Only those of this rule (UUID).
    rule_id: Option<String>,
    /// Only those of this study (UUID).
    study_id: Option<String>,
    /// Only those in this state.
    status: Option<State>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Evaluations, newest first.
pub async fn list(
    caller: Caller<EvaluationsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Brief>>, Problem> {
    let mut select = Select::from(col::TABLE, BRIEF);
    let ids = [
        (col::dataset_id, query.dataset_id),
        (col::rule_id, query.rule_id),
        (col::study_id, query.study_id),
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
        .newest(select, col::id, page, |one: &Brief| &one.id)
        .await
}

/// One evaluation with its progress, and its summary once it has ended.
pub async fn get(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
) -> Result<Json<Evaluation>, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let found: Evaluation = caller.find(select, "evaluation").await?;
    let tag = etag::of(found.brief.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}
