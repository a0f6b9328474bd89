//! `GET /api/v1/traces/{trace_id}/scores`

use super::known_trace;
use super::model::{COLUMNS, Score, col};
use crate::TracesRead;
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoresQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first.
pub async fn handle(
    caller: Caller<TracesRead>,
    Query(query): Query<ScoresQuery>,
) -> Result<Json<Page<Score>>, Problem> {
    let trace_id = known_trace(&caller).await?;
    let select = Select::from(col::TABLE, COLUMNS).filter(Filter::Eq(col::trace_id, trace_id));
    let paging = (query.limit, query.cursor);
    caller
        .newest(select, col::id, paging, |score: &Score| &score.id)
        .await
}
