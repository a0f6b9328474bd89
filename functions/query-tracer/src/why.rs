//! `GET /api/v1/query-tracer/{trace_id}/why`

use crate::QueryTracerRead;
use crate::find;
use nodeai_app::{Caller, Query};
use nodeai_http::{FieldError, Problem, reply::Json};
use nodeai_ragtrace::{Why, why};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which chunk of which query.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// Required: the chunk's id, as the query shows it or as it should have.
    chunk: Option<String>,
    /// The query's own span or one of its stages'; the first query unless given.
    span_id: Option<String>,
}

/// Where the chunk fell out, and the smallest change of a setting that would have kept it there.
pub async fn handle(
    caller: Caller<QueryTracerRead>,
    Query(asked): Query<WhyQuery>,
) -> Result<Json<Why>, Problem> {
    let found = find::query(&caller, asked.span_id.as_deref()).await?;
    let chunk = asked.chunk.filter(|chunk| !chunk.is_empty());
    let missing = || FieldError::parameter("chunk", "required", "give the id of a chunk");
    let chunk = chunk.ok_or_else(|| Problem::fields(vec![missing()]))?;
    Ok(Json::ok(why(&found.query, &chunk)))
}
