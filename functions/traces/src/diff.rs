//! `GET /api/v1/traces/diff?a=&b=`

use crate::TracesRead;
use crate::load::{by_id, for_people, trace_id};
use nodeai_app::{Caller, Query};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Two traces.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// The first trace's id.
    a: String,
    /// The second's.
    b: String,
}

/// Pairs the spans of the same node, or name, in the order of their start.
pub async fn handle(
    caller: Caller<TracesRead>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<Value>, Problem> {
    let a = by_id(&caller, &trace_id(Some(&query.a))?).await?;
    let b = by_id(&caller, &trace_id(Some(&query.b))?).await?;
    let steps = nodeai_traceview::diff::diff(&a.view(), &b.view());
    Ok(Json::ok(for_people(
        json!({"a": a.trace, "b": b.trace, "steps": steps}),
    )))
}
