//! `GET /api/v1/query-tracer/{trace_id}`

use crate::QueryTracerRead;
use crate::find::{self, Brief, Which};
use nodeai_app::{Caller, Query};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::Serialize;

/// A query with its trace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Traced {
    /// The trace.
    trace_id: String,
    /// All queries of the trace, this one among them, by their start.
    queries: Vec<Brief>,
    /// The query.
    #[serde(flatten)]
    query: nodeai_ragtrace::Query,
}

/// Assembled from the spans at each request: what they say is all there is.
pub async fn handle(
    caller: Caller<QueryTracerRead>,
    Query(which): Query<Which>,
) -> Result<Json<Traced>, Problem> {
    let found = find::query(&caller, which.span_id.as_deref()).await?;
    Ok(Json::ok(Traced {
        trace_id: found.trace_id,
        queries: found.all,
        query: found.query,
    }))
}
