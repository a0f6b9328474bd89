//! One trace from the store, and numbers as the API shows them.

use crate::columns::Columns;
use nodeai_app::{Caller, Scope, clock};
use nodeai_http::{Problem, money};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A trace with its spans, flat, by start.
#[derive(Debug, Deserialize)]
pub struct Stored {
    /// The summary.
    pub trace: Map<String, Value>,
    /// The spans.
    pub spans: Vec<Map<String, Value>>,
}

impl Stored {
    /// The spans as far as somebody needs them, such as [`nodeai_traceview::Span`].
    pub fn spans_as<T: DeserializeOwned>(&self) -> Vec<T> {
        let read =
            |span: &Map<String, Value>| serde_json::from_value(Value::Object(span.clone())).ok();
        self.spans.iter().filter_map(read).collect()
    }

    /// The spans as far as the views need them.
    pub fn view(&self) -> Vec<nodeai_traceview::Span> {
        self.spans_as()
    }
}

/// The id in a path or a query, in lower case. Errors: 404 for what cannot be one.
pub fn trace_id(text: Option<&str>) -> Result<String, Problem> {
    let id = text.unwrap_or_default().to_ascii_lowercase();
    match id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => Ok(id),
        false => Err(missing()),
    }
}

/// The trace of the path. Errors: 404, 503.
pub async fn of_path<S: Scope>(caller: &Caller<S>) -> Result<Stored, Problem> {
    let id = trace_id(caller.cx.parameter("trace_id"))?;
    by_id(caller, &id).await
}

/// A trace in one call. Errors: 404, 503.
pub async fn by_id<S: Scope>(caller: &Caller<S>, id: &str) -> Result<Stored, Problem> {
    let columns = columns(caller, id).await?;
    let spans = columns.spans(id).map_err(unexpected)?;
    let trace = columns.trace;
    Ok(Stored { trace, spans })
}

/// A trace in one call, its spans as the store has written them. Errors: 404, 503.
pub async fn columns<S: Scope>(caller: &Caller<S>, id: &str) -> Result<Columns, Problem> {
    let args = json!({"org_id": caller.org_id(), "trace_id": id});
    let stored: Option<Columns> = caller.call("trace_columns", &args).await?;
    stored.ok_or_else(missing)
}

/// 500, for spans that are not as they are stored.
pub fn unexpected(_: serde_json::Error) -> Problem {
    Problem::internal("the store gave a span that was not expected")
}

/// 404.
pub fn missing() -> Problem {
    Problem::not_found("there is no such trace")
}

/// A view for people: µs become ms and times, pico-USD an exact decimal.
pub fn for_people(view: impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(view).unwrap_or_default();
    let mut stack = vec![&mut value];
    while let Some(value) = stack.pop() {
        match value {
            Value::Array(items) => stack.extend(items),
            Value::Object(fields) => {
                *fields = std::mem::take(fields).into_iter().map(renamed).collect();
                stack.extend(fields.values_mut());
            }
            _ => {}
        }
    }
    value
}

fn renamed((name, value): (String, Value)) -> (String, Value) {
    match (name.as_str(), value.as_i64()) {
        ("start_us", Some(us)) => ("started_at".to_owned(), clock::rfc3339(us).into()),
        ("cost_pusd", Some(pico)) => ("cost_usd".to_owned(), money::usd(pico).into()),
        ("cost_pusd", None) => ("cost_usd".to_owned(), value),
        (timed, Some(us)) if timed.ends_with("_us") => {
            (timed.replace("_us", "_ms"), json!(us as f64 / 1000.0))
        }
        _ => (name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_have_no_internal_units() {
        let view = json!({"start_us": 0, "rows": [{"self_us": 1500, "cost_pusd": 1_000_000_000_000_i64}, {"cost_pusd": null}]});
        let want = json!({"started_at": "1970-01-01T00:00:00+00:00",
            "rows": [{"self_ms": 1.5, "cost_usd": money::usd(1_000_000_000_000)}, {"cost_usd": null}]});
        assert_eq!(for_people(view), want);
    }
}
