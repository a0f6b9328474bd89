//! Searching: the terms of `q` and of the other parameters, in one SQL function.

use crate::model::{Row, Trace};
use nodeai_app::{Caller, Scope, clock};
use nodeai_http::page::{Keyset, encode_cursor};
use nodeai_http::{FieldError, Problem};
use nodeai_traceview::filter::{Term, parse};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is sought.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// All of them hold.
    pub terms: Vec<Term>,
    /// Started at or after, µs.
    pub from_us: Option<i64>,
    /// Started before, µs.
    pub to_us: Option<i64>,
}

#[derive(Deserialize)]
struct Found {
    traces: Vec<Value>,
    next: Option<Value>,
}

/// Some traces, and where to go on.
pub struct Batch {
    /// Newest first.
    pub traces: Vec<Value>,
    /// Given when there may be more.
    pub next: Option<Value>,
}

/// Reads `q`. Errors: 400 with the column of the fault.
pub fn terms(q: &str) -> Result<Vec<Term>, Problem> {
    parse(q).map_err(|fault| {
        Problem::fields(vec![FieldError::parameter(
            "q",
            "syntax",
            fault.to_string(),
        )])
    })
}

/// A time of a query parameter. Errors: 400.
pub fn time(name: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let us = clock::parse_rfc3339(text);
    us.map(Some).ok_or_else(|| {
        Problem::fields(vec![FieldError::parameter(
            name,
            "format",
            "must be a time in RFC 3339",
        )])
    })
}

/// One page behind `after`. Errors: 503.
pub async fn page<S: Scope>(
    caller: &Caller<S>,
    search: &Search,
    after: Option<&Value>,
    limit: u32,
) -> Result<Batch, Problem> {
    let args = json!({"org_id": caller.org_id(), "terms": search.terms, "from_us": search.from_us,
        "to_us": search.to_us, "after": after, "limit": limit});
    let found: Found = caller.call("traces_search", &args).await?;
    Ok(Batch {
        traces: found.traces,
        next: found.next,
    })
}

/// A cursor's place as the SQL function takes it. Errors: 400 for a cursor of another list.
pub fn after(position: Keyset) -> Result<Value, Problem> {
    let at_us: Result<i64, _> = position.at.parse();
    at_us
        .map(|at_us| json!({"at_us": at_us, "trace_id": position.id}))
        .map_err(|_| {
            Problem::fields(vec![FieldError::parameter(
                "cursor",
                "invalid",
                "the cursor is of another search",
            )])
        })
}

/// The cursor behind a page.
pub fn cursor(next: &Value) -> String {
    encode_cursor(&Keyset {
        at: next["at_us"].to_string(),
        id: next["trace_id"].as_str().unwrap_or_default().to_owned(),
    })
}

/// A trace as the list shows it.
pub fn shown(found: Value) -> Option<Trace> {
    let mut found = found;
    let at = clock::rfc3339(found["start_us"].as_i64()?);
    found["started_at"] = json!(at);
    serde_json::from_value::<Row>(found).ok().map(Trace::from)
}
