//! `GET /api/v1/traces/{trace_id}`

use crate::TracesRead;
use crate::load::{self, unexpected};
use crate::node::SpanNode;
use crate::tree::{read, tree};
use http::{HeaderValue, header};
use nodeai_app::{Caller, Reply};
use nodeai_http::{Body, Problem, Response, money};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A trace and its spans.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TraceTree {
    /// The trace's summary.
    trace: Map<String, Value>,
    /// Root spans, each with its children. A span whose parent is elsewhere is a root here.
    #[schemars(with = "Vec<SpanNode>")]
    spans: Box<RawValue>,
}

/// One call reads trace and spans. The answer is a [`TraceTree`], put together as text.
pub async fn handle(caller: Caller<TracesRead>) -> Result<Reply<TraceTree>, Problem> {
    let id = load::trace_id(caller.cx.parameter("trace_id"))?;
    let columns = load::columns(&caller, &id).await?;
    let spans = tree(columns.rows().map_err(unexpected)?, Some(&id));
    let trace = json!(with_money(columns.trace));
    let mut response = Response::new(Body::Full(
        format!("{{\"trace\":{trace},\"spans\":{spans}}}").into(),
    ));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(Reply::from(response))
}

impl TraceTree {
    /// Of a trace's summary and its spans as JSON, by start.
    ///
    /// # Errors
    /// 500 when a span is not one.
    pub fn of(trace: Map<String, Value>, spans: &[&str]) -> Result<Self, Problem> {
        let spans = read(spans).map(|spans| tree(spans, None));
        let spans = spans.and_then(RawValue::from_string);
        Ok(Self {
            trace: with_money(trace),
            spans: spans.map_err(unexpected)?,
        })
    }
}

/// Cost for people beside the exact integer, durations in ms.
fn with_money(mut fields: Map<String, Value>) -> Map<String, Value> {
    if let Some(pico) = fields.remove("cost_pusd").and_then(|v| v.as_i64()) {
        fields.insert("cost_usd_micros".into(), json!(money::usd_micros(pico)));
        fields.insert("cost_usd".into(), json!(money::usd(pico)));
    }
    if let Some(us) = fields.remove("duration_us").and_then(|v| v.as_i64()) {
        fields.insert("duration_ms".into(), json!(us as f64 / 1000.0));
    }
    fields
}
