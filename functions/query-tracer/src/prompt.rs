//! `GET /api/v1/query-tracer/{trace_id}/prompt`

use crate::QueryTracerRead;
use crate::find::{self, Which};
use nodeai_app::{Caller, Query};
use nodeai_http::{Problem, reply::Json};
use nodeai_ragtrace::Prompt;

/// Messages as the span has them, and which chunks stand in them.
pub async fn handle(
    caller: Caller<QueryTracerRead>,
    Query(which): Query<Which>,
) -> Result<Json<Prompt>, Problem> {
    let found = find::query(&caller, which.span_id.as_deref()).await?;
    let missing = || Problem::not_found("no model was asked after the stages of that query");
    found.query.prompt.map(Json::ok).ok_or_else(missing)
}
