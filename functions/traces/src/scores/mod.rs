//! Scores and comments: what people, code and judging models say of a trace or one of its spans.

pub mod create;
pub mod list;
pub mod model;
pub mod remove;
pub mod update;

use crate::load;
use nodeai_app::{Caller, Scope};
use nodeai_http::Problem;
use nodeai_store::{Filter, Select};
use serde::Deserialize;

nodeai_store::columns! {
    /// Where the traces are.
    trace_days { trace_id: Text, org_id: Uuid, day: Date, }
}

#[derive(Deserialize)]
struct Day {
    #[serde(rename = "trace_id")]
    id: String,
}

/// The id of the path, when there is such a trace. Errors: 404.
pub async fn known_trace<S: Scope>(caller: &Caller<S>) -> Result<String, Problem> {
    let id = load::trace_id(caller.cx.parameter("trace_id"))?;
    let select = Select::from(trace_days::TABLE, &[trace_days::trace_id])
        .filter(Filter::Eq(trace_days::trace_id, id));
    let day: Day = caller.find(select, "trace").await?;
    Ok(day.id)
}
