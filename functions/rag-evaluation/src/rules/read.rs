//! `GET /api/v1/rag-evaluation/rules`, `GET /api/v1/rag-evaluation/rules/{id}`

use super::model::{Rule, SHOWN, col};
use crate::EvaluationsRead;
use http::header;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, etag, reply::Json};
use nodeai_store::{Filter, Select};

/// Rules, newest first.
pub async fn list(
    caller: Caller<EvaluationsRead>,
    Query(query): Query<crate::datasets::ListQuery>,
) -> Result<Json<Page<Rule>>, Problem> {
    let select = Select::from(col::TABLE, SHOWN);
    caller
        .newest(select, col::id, query.page(), |one: &Rule| &one.id)
        .await
}

/// One rule.
pub async fn get(
    caller: Caller<EvaluationsRead>,
    PathId(id): PathId,
) -> Result<Json<Rule>, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let found: Rule = caller.find(select, "rule").await?;
    let tag = etag::of(found.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}
