//! OTLP JSON to spans.

use serde_json::{Map, Value};

use super::names;
use crate::{Attributes, Event, Kind, Link, Span, Status};

/// What is wrong with an OTLP document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct ReadError {
    /// JSON pointer of the fault.
    pub pointer: String,
    /// What was expected.
    pub message: String,
}

type Read<T> = Result<T, ReadError>;

/// Reads one line as written by [`super::to_line`].
///
/// # Errors
/// When the line is not JSON or not an OTLP trace request.
pub fn from_line(line: &str) -> Read<Vec<Span>> {
    let document = serde_json::from_str(line).map_err(|error| fault("", &error.to_string()))?;
    from_json(&document)
}

/// Reads an `ExportTraceServiceRequest`. Resource attributes are copied into each span
/// that has none of the same name.
///
/// # Errors
/// The first span that has no valid id, name or time.
pub fn from_json(document: &Value) -> Read<Vec<Span>> {
    let mut spans = Vec::new();
    let resources = field(document, "resourceSpans", "resource_spans");
    let resources = resources.and_then(Value::as_array);
    let resources = resources.ok_or_else(|| fault("/resourceSpans", "expected an array"))?;
    for (r, resource) in resources.iter().enumerate() {
        let shared = resource
            .get("resource")
            .map(attributes_of)
            .unwrap_or_default();
        for (s, scope) in items(resource, "scopeSpans", "scope_spans").enumerate() {
            for (i, span) in items(scope, "spans", "spans").enumerate() {
                let at = format!("/resourceSpans/{r}/scopeSpans/{s}/spans/{i}");
                spans.push(read_span(span, &shared, &at)?);
            }
        }
    }
    Ok(spans)
}

fn read_span(json: &Value, shared: &Attributes, at: &str) -> Read<Span> {
    let trace_id = id(json, "traceId", "trace_id", at)?;
    let span_id = id(json, "spanId", "span_id", at)?;
    let name = json.get("name").and_then(Value::as_str).unwrap_or_default();
    let start = micros(json, "startTimeUnixNano", "start_time_unix_nano", at)?;
    let mut span = Span::new(trace_id, span_id, name, start);
    span.end_us = micros(json, "endTimeUnixNano", "end_time_unix_nano", at)?;
    let parent = field(json, "parentSpanId", "parent_span_id").and_then(Value::as_str);
    if parent.is_some_and(|text| !text.is_empty()) {
        span.parent_span_id = Some(id(json, "parentSpanId", "parent_span_id", at)?);
    }
    span.kind = json.get("kind").map(kind).unwrap_or_default();
    read_status(json, &mut span);
    span.attributes = attributes_of(json);
    take_fields(&mut span);
    for (name, value) in shared {
        let ours = name == "service.name" && value == "nodeai";
        if !ours && !span.attributes.contains_key(name) {
            span.attributes.insert(name.clone(), value.clone());
        }
    }
    for (i, event) in items(json, "events", "events").enumerate() {
        let at = format!("{at}/events/{i}");
        span.events.push(Event {
            name: event
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            at_us: micros(event, "timeUnixNano", "time_unix_nano", &at)?,
            attributes: attributes_of(event),
        });
    }
    for (i, link) in items(json, "links", "links").enumerate() {
        let at = format!("{at}/links/{i}");
        span.links.push(Link {
            trace_id: id(link, "traceId", "trace_id", &at)?,
            span_id: id(link, "spanId", "span_id", &at)?,
            attributes: attributes_of(link),
        });
    }
    Ok(span)
}

/// Moves the attributes that have a field of their own into it.
fn take_fields(span: &mut Span) {
    let from = &mut span.attributes;
    span.node_id = take_text(from, &[names::NODE_ID]);
    span.node_type = take_text(from, &[names::NODE_TYPE]);
    span.provider = take_text(from, &[names::PROVIDER, names::OLD_PROVIDER]);
    span.model = take_text(from, &[names::MODEL]);
    if span.model.is_none() {
        let answered = from.get(names::RESPONSE_MODEL).and_then(Value::as_str);
        span.model = answered.map(str::to_owned);
    }
    span.attempt = take_number(from, &[names::ATTEMPT]).and_then(|n| u32::try_from(n).ok());
    span.prompt_tokens = take_number(from, &[names::INPUT_TOKENS, names::OLD_INPUT_TOKENS]);
    span.completion_tokens = take_number(from, &[names::OUTPUT_TOKENS, names::OLD_OUTPUT_TOKENS]);
    span.cost_pusd = take_number(from, &[names::COST_PUSD]);
}

fn take_text(from: &mut Attributes, candidates: &[&str]) -> Option<String> {
    let name = candidates
        .iter()
        .find(|name| from.get(**name).is_some_and(Value::is_string))?;
    match from.shift_remove(*name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn take_number(from: &mut Attributes, candidates: &[&str]) -> Option<i64> {
    let name = candidates
        .iter()
        .find(|name| from.get(**name).is_some_and(Value::is_i64))?;
    from.shift_remove(*name).and_then(|value| value.as_i64())
}

fn read_status(json: &Value, span: &mut Span) {
    let Some(status) = json.get("status") else {
        return;
    };
    span.status = match status.get("code") {
        Some(Value::String(name)) if name.ends_with("_OK") => Status::Ok,
        Some(Value::String(name)) if name.ends_with("_ERROR") => Status::Error,
        Some(Value::Number(code)) if code.as_u64() == Some(1) => Status::Ok,
        Some(Value::Number(code)) if code.as_u64() == Some(2) => Status::Error,
        _ => Status::Unset,
    };
    let message = status.get("message").and_then(Value::as_str);
    span.status_message = message.filter(|text| !text.is_empty()).map(str::to_owned);
}

fn kind(json: &Value) -> Kind {
    match (json.as_u64(), json.as_str()) {
        (Some(2), _) | (_, Some("SPAN_KIND_SERVER")) => Kind::Server,
        (Some(3), _) | (_, Some("SPAN_KIND_CLIENT")) => Kind::Client,
        (Some(4), _) | (_, Some("SPAN_KIND_PRODUCER")) => Kind::Producer,
        (Some(5), _) | (_, Some("SPAN_KIND_CONSUMER")) => Kind::Consumer,
        _ => Kind::Internal,
    }
}

fn attributes_of(json: &Value) -> Attributes {
    items(json, "attributes", "attributes")
        .filter_map(key_value)
        .collect()
}

fn key_value(pair: &Value) -> Option<(String, Value)> {
    let key = pair.get("key")?.as_str()?;
    Some((
        key.to_owned(),
        plain_value(pair.get("value").unwrap_or(&Value::Null)),
    ))
}

fn plain_value(any: &Value) -> Value {
    let Some((tag, inner)) = any.as_object().and_then(|map| map.iter().next()) else {
        return Value::Null;
    };
    match tag.as_str() {
        "intValue" | "int_value" => integer(inner).map_or(Value::Null, Value::from),
        "arrayValue" | "array_value" => items(inner, "values", "values").map(plain_value).collect(),
        "kvlistValue" | "kvlist_value" => Value::Object(
            items(inner, "values", "values")
                .filter_map(key_value)
                .collect::<Map<_, _>>(),
        ),
        _ => inner.clone(),
    }
}

fn field<'a>(json: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    json.get(camel).or_else(|| json.get(snake))
}

fn items<'a>(json: &'a Value, camel: &str, snake: &str) -> impl Iterator<Item = &'a Value> {
    field(json, camel, snake)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn id<T: std::str::FromStr>(json: &Value, camel: &str, snake: &str, at: &str) -> Read<T>
where
    T::Err: std::fmt::Display,
{
    let text = field(json, camel, snake)
        .and_then(Value::as_str)
        .unwrap_or_default();
    text.parse()
        .map_err(|error: T::Err| fault(&format!("{at}/{camel}"), &error.to_string()))
}

fn micros(json: &Value, camel: &str, snake: &str, at: &str) -> Read<i64> {
    let nanos = field(json, camel, snake).and_then(integer);
    let nanos = nanos.ok_or_else(|| fault(&format!("{at}/{camel}"), "expected nanoseconds"))?;
    Ok(nanos.div_euclid(1_000))
}

/// A 64-bit integer, as a number or as a decimal string.
fn integer(json: &Value) -> Option<i64> {
    json.as_i64().or_else(|| json.as_str()?.parse().ok())
}

fn fault(pointer: &str, message: &str) -> ReadError {
    ReadError {
        pointer: pointer.to_owned(),
        message: message.to_owned(),
    }
}
