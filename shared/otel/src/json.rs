//! OTLP's JSON (hex ids, 64-bit integers as texts) to the same messages as the protobuf. Lenient where exporters differ:
//! numbers for texts, snake_case, names of enums, ids in base64.

use crate::proto::*;
use serde_json::Value;

/// Reads a request. Errors: what is not as it should be, with its JSON pointer.
pub fn request(document: &Value) -> Result<ExportTraceServiceRequest, String> {
    let list = field(document, "resourceSpans", "resource_spans");
    let list = match list {
        None if document.is_object() => &[][..],
        Some(Value::Array(list)) => list.as_slice(),
        _ => return Err("/resourceSpans: expected an array".to_owned()),
    };
    let resource_spans = list
        .iter()
        .enumerate()
        .map(|(r, resource)| resource_spans(resource, &format!("/resourceSpans/{r}")))
        .collect::<Result<_, _>>()?;
    Ok(ExportTraceServiceRequest { resource_spans })
}

fn resource_spans(json: &Value, at: &str) -> Result<ResourceSpans, String> {
    let scope_spans = items(json, "scopeSpans", "scope_spans")
        .enumerate()
        .map(|(s, scope)| {
            let spans = items(scope, "spans", "spans").enumerate();
            let spans =
                spans.map(|(i, span)| read_span(span, &format!("{at}/scopeSpans/{s}/spans/{i}")));
            Ok(ScopeSpans {
                scope: scope.get("scope").map(|scope| Scope {
                    name: text(scope, "name", "name"),
                    version: text(scope, "version", "version"),
                    attributes: attributes(scope),
                }),
                spans: spans.collect::<Result<_, String>>()?,
            })
        })
        .collect::<Result<_, String>>()?;
    Ok(ResourceSpans {
        resource: json.get("resource").map(|resource| Resource {
            attributes: attributes(resource),
        }),
        scope_spans,
    })
}

fn read_span(json: &Value, at: &str) -> Result<Span, String> {
    let nanos = |camel: &str, snake: &str| {
        let value = field(json, camel, snake).map_or(Some(0), unsigned);
        value.ok_or_else(|| format!("{at}/{camel}: expected nanoseconds"))
    };
    let count = |camel: &str, snake: &str| {
        let value = field(json, camel, snake).and_then(unsigned);
        value.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    };
    Ok(Span {
        trace_id: id(json, "traceId", "trace_id"),
        span_id: id(json, "spanId", "span_id"),
        trace_state: text(json, "traceState", "trace_state"),
        parent_span_id: id(json, "parentSpanId", "parent_span_id"),
        name: text(json, "name", "name"),
        kind: json.get("kind").map_or(0, |kind| enumeration(kind, KINDS)),
        start_time_unix_nano: nanos("startTimeUnixNano", "start_time_unix_nano")?,
        end_time_unix_nano: nanos("endTimeUnixNano", "end_time_unix_nano")?,
        attributes: attributes(json),
        dropped_attributes_count: count("droppedAttributesCount", "dropped_attributes_count"),
        events: items(json, "events", "events").map(event).collect(),
        dropped_events_count: count("droppedEventsCount", "dropped_events_count"),
        links: items(json, "links", "links").map(link).collect(),
        dropped_links_count: count("droppedLinksCount", "dropped_links_count"),
        status: json.get("status").map(|status| SpanStatus {
            message: text(status, "message", "message"),
            code: status
                .get("code")
                .map_or(0, |code| enumeration(code, CODES)),
        }),
        flags: count("flags", "flags"),
    })
}

fn event(json: &Value) -> Event {
    let at = field(json, "timeUnixNano", "time_unix_nano");
    Event {
        time_unix_nano: at.and_then(unsigned).unwrap_or(0),
        name: text(json, "name", "name"),
        attributes: attributes(json),
    }
}

fn link(json: &Value) -> Link {
    Link {
        trace_id: id(json, "traceId", "trace_id"),
        span_id: id(json, "spanId", "span_id"),
        trace_state: text(json, "traceState", "trace_state"),
        attributes: attributes(json),
    }
}

const KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

fn enumeration(json: &Value, names: &[&str]) -> i32 {
    let place = match json {
        Value::String(name) => names.iter().position(|known| known == name),
        other => other.as_u64().and_then(|n| usize::try_from(n).ok()),
    };
    place.and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
}

fn attributes(json: &Value) -> Vec<KeyValue> {
    items(json, "attributes", "attributes")
        .map(key_value)
        .collect()
}

fn key_value(json: &Value) -> KeyValue {
    KeyValue {
        key: text(json, "key", "key"),
        value: json.get("value").map(any),
    }
}

fn any(json: &Value) -> AnyValue {
    let value = json.as_object().and_then(|map| {
        let (tag, inner) = map.iter().next()?;
        Some(match tag.as_str() {
            "stringValue" | "string_value" => Any::Text(inner.as_str()?.to_owned()),
            "boolValue" | "bool_value" => Any::Bool(inner.as_bool()?),
            // An exporter in JavaScript calls every number without a fraction an integer, 1e300 too.
            "intValue" | "int_value" => match integer(inner) {
                Some(number) => Any::Int(number),
                None => Any::Double(double(inner)?),
            },
            "doubleValue" | "double_value" => Any::Double(double(inner)?),
            "arrayValue" | "array_value" => Any::Array(ArrayValue {
                values: items(inner, "values", "values").map(any).collect(),
            }),
            "kvlistValue" | "kvlist_value" => Any::Map(KeyValueList {
                values: items(inner, "values", "values").map(key_value).collect(),
            }),
            // Bytes are base64 here and base64 in our JSON.
            "bytesValue" | "bytes_value" => Any::Text(inner.as_str()?.to_owned()),
            _ => return None,
        })
    });
    AnyValue { value }
}

fn field<'a>(json: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    json.get(camel)
        .or_else(|| json.get(snake))
        .filter(|value| !value.is_null())
}

fn items<'a>(json: &'a Value, camel: &str, snake: &str) -> impl Iterator<Item = &'a Value> {
    let list = field(json, camel, snake).and_then(Value::as_array);
    list.into_iter().flatten()
}

fn text(json: &Value, camel: &str, snake: &str) -> String {
    let text = field(json, camel, snake).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn integer(json: &Value) -> Option<i64> {
    json.as_i64().or_else(|| json.as_str()?.parse().ok())
}

fn unsigned(json: &Value) -> Option<u64> {
    json.as_u64().or_else(|| json.as_str()?.parse().ok())
}

fn double(json: &Value) -> Option<f64> {
    match json.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(text) => text.parse().ok(),
        None => json.as_f64(),
    }
}

/// An id in hex, or in base64 as protobuf's own JSON mapping writes it. What is neither comes out with a length that no
/// id has, so its span is rejected.
fn id(json: &Value, camel: &str, snake: &str) -> Vec<u8> {
    let text = text(json, camel, snake);
    let from_hex = |text: &str| {
        let pairs = text.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect::<Option<Vec<u8>>>()
    };
    match text.len() {
        0 => Vec::new(),
        16 | 32 => from_hex(&text).unwrap_or_else(|| vec![0]),
        _ => from_base64(&text).unwrap_or_else(|| vec![0]),
    }
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut have) = (0_u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have & 255) as u8);
        }
    }
    Some(out)
}
