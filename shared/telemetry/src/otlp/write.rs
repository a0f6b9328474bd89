//! Spans to OTLP JSON.

use serde_json::{Map, Value, json};

use super::names;
use crate::{Attributes, Event, Kind, Link, Span, Status};

/// One `ExportTraceServiceRequest` holding all spans. `resource` holds the resource
/// attributes, such as `nodeai.org_id`; `service.name` is `nodeai` unless it says otherwise.
pub fn to_json(spans: &[Span], resource: &Attributes) -> Value {
    let spans: Vec<Value> = spans.iter().map(span_json).collect();
    let mut shared = attribute_list(resource);
    if !resource.contains_key("service.name") {
        shared.insert(0, attribute("service.name", &Value::from("nodeai")));
    }
    json!({"resourceSpans": [{
        "resource": {"attributes": shared},
        "scopeSpans": [{"scope": {"name": "nodeai"}, "spans": spans}],
    }]})
}

/// The same as one line of text, without the line feed.
pub fn to_line(spans: &[Span], resource: &Attributes) -> String {
    to_json(spans, resource).to_string()
}

fn span_json(span: &Span) -> Value {
    let mut out = Map::new();
    out.insert("traceId".into(), span.trace_id.to_string().into());
    out.insert("spanId".into(), span.span_id.to_string().into());
    if let Some(parent) = span.parent_span_id {
        out.insert("parentSpanId".into(), parent.to_string().into());
    }
    out.insert("name".into(), span.name.clone().into());
    out.insert("kind".into(), kind_number(span.kind).into());
    out.insert("startTimeUnixNano".into(), nanos(span.start_us));
    out.insert("endTimeUnixNano".into(), nanos(span.end_us));
    out.insert("attributes".into(), span_attributes(span));
    if !span.events.is_empty() {
        out.insert(
            "events".into(),
            span.events.iter().map(event_json).collect(),
        );
    }
    if !span.links.is_empty() {
        out.insert("links".into(), span.links.iter().map(link_json).collect());
    }
    out.insert("status".into(), status_json(span));
    Value::Object(out)
}

fn span_attributes(span: &Span) -> Value {
    let mut list = attribute_list(&span.attributes);
    let texts = [
        (names::NODE_ID, &span.node_id),
        (names::NODE_TYPE, &span.node_type),
        (names::PROVIDER, &span.provider),
        (names::MODEL, &span.model),
    ];
    let numbers = [
        (names::ATTEMPT, span.attempt.map(i64::from)),
        (names::INPUT_TOKENS, span.prompt_tokens),
        (names::OUTPUT_TOKENS, span.completion_tokens),
        (names::COST_PUSD, span.cost_pusd),
    ];
    let texts = texts
        .into_iter()
        .map(|(name, text)| (name, text.clone().map(Value::from)));
    let numbers = numbers
        .into_iter()
        .map(|(name, number)| (name, number.map(Value::from)));
    for (name, value) in texts.chain(numbers) {
        if let Some(value) = value.filter(|_| !span.attributes.contains_key(name)) {
            list.push(attribute(name, &value));
        }
    }
    Value::Array(list)
}

fn attribute_list(attributes: &Attributes) -> Vec<Value> {
    attributes
        .iter()
        .map(|(name, value)| attribute(name, value))
        .collect()
}

fn attribute(name: &str, value: &Value) -> Value {
    json!({"key": name, "value": any_value(value)})
}

fn any_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => json!({"intValue": integer.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Value::Object(map) => json!({"kvlistValue": {"values": attribute_list(map)}}),
    }
}

fn event_json(event: &Event) -> Value {
    json!({
        "timeUnixNano": nanos(event.at_us),
        "name": event.name,
        "attributes": attribute_list(&event.attributes),
    })
}

fn link_json(link: &Link) -> Value {
    json!({
        "traceId": link.trace_id,
        "spanId": link.span_id,
        "attributes": attribute_list(&link.attributes),
    })
}

fn status_json(span: &Span) -> Value {
    let code = match span.status {
        Status::Unset => 0,
        Status::Ok => 1,
        Status::Error => 2,
    };
    match &span.status_message {
        Some(message) => json!({"code": code, "message": message}),
        None => json!({"code": code}),
    }
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

fn nanos(us: i64) -> Value {
    Value::String((i128::from(us) * 1_000).to_string())
}
