//! The query that a path and `span_id` mean.

use crate::QueryTracerRead;
use nodeai_app::Caller;
use nodeai_http::Problem;
use nodeai_ragtrace::{Query, Span, assemble};
use nodeai_tracestore::load;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which query of the trace.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// The query's own span or one of its stages' (16 hex digits); the first query unless given.
    pub span_id: Option<String>,
}

/// A query by its span.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Brief {
    /// Give it as `span_id`.
    span_id: String,
    /// Name of that span.
    name: String,
    /// What was asked.
    question: Option<String>,
}

/// A query and all those of its trace.
pub struct Found {
    pub trace_id: String,
    pub query: Query,
    pub all: Vec<Brief>,
}

/// Reads the trace in one call and takes the query. Errors: 404, 503.
pub async fn query(
    caller: &Caller<QueryTracerRead>,
    span_id: Option<&str>,
) -> Result<Found, Problem> {
    let trace_id = load::trace_id(caller.cx.parameter("trace_id"))?;
    let stored = load::by_id(caller, &trace_id).await?;
    let queries = assemble(&stored.spans_as::<Span>());
    let all = queries.iter().map(Brief::of).collect();
    let query = match span_id.map(str::to_ascii_lowercase) {
        None => queries.into_iter().next(),
        Some(id) => queries.into_iter().find(|query| is_of(query, &id)),
    };
    let missing = || Problem::not_found("nothing was retrieved or ranked in that trace or span");
    Ok(Found {
        trace_id,
        query: query.ok_or_else(missing)?,
        all,
    })
}

fn is_of(query: &Query, span_id: &str) -> bool {
    let mut stages = query.stages.iter();
    query.span_id == span_id || stages.any(|stage| stage.span_id == span_id)
}

impl Brief {
    fn of(query: &Query) -> Self {
        Self {
            span_id: query.span_id.clone(),
            name: query.name.clone(),
            question: query.question.clone(),
        }
    }
}
