//! `respond`: the HTTP answer of a run, as a value among its outputs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::fault::{Faults, token};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "respond".into(),
        title: "Respond".into(),
        description: "The answer of a run that was started by a request: status, header fields and body, among the run's outputs under `name` or else under the node's id.".into(),
        category: "io".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "status": {"type": "integer", "minimum": 200, "maximum": 599, "default": 200},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                "body": {"description": "An object or list is JSON, a string is text"},
                "name": {"type": "string", "minLength": 1, "maxLength": 128, "x-nodeai": "literal",
                    "description": "The name among the run's outputs"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: Vec::new(),
        example: json!({"status": 201, "headers": {"location": "/people/{{ nodes.save.output.id }}"}, "body": {"id": "{{ nodes.save.output.id }}"}}),
    }
}

#[derive(Deserialize)]
struct Config {
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in config.headers {
        if let Some(fault) = fault_of(&name, &value) {
            return Err(NodeError::config(format!("/headers/{name}: {fault}")));
        }
        headers.insert(name.to_ascii_lowercase(), value.into());
    }
    let kind = match &config.body {
        None | Some(Value::Null) => None,
        Some(Value::String(_)) => Some("text/plain; charset=utf-8"),
        Some(_) => Some("application/json"),
    };
    if let Some(kind) = kind {
        headers.entry("content-type").or_insert_with(|| kind.into());
    }
    Ok(Effect::Done(Outcome::new(json!({
        "status": config.status.unwrap_or(200),
        "headers": headers,
        "body": config.body,
    }))))
}

/// Names of header fields that are written out must be some.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let headers = data.get("headers").and_then(Value::as_object);
    for name in headers.into_iter().flatten().map(|(name, _)| name) {
        if let Some(fault) = fault_of(name, "") {
            faults.add(format!("{at}/headers/{}", token(name)), "bad_header", fault);
        }
    }
}

fn fault_of(name: &str, value: &str) -> Option<&'static str> {
    let own = [
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
    ];
    let Ok(field) = http::HeaderName::from_bytes(name.as_bytes()) else {
        return Some("cannot be the name of a header field");
    };
    if own.contains(&field.as_str()) {
        return Some("is set by the connection itself");
    }
    http::HeaderValue::from_str(value)
        .is_err()
        .then_some("cannot be sent as a header field")
}
