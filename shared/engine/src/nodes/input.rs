//! `input`: where a run starts. Its output is the run's inputs, checked and with defaults.

use serde_json::{Map, Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::fault::{Faults, token};
use crate::log::NodeError;
use crate::schema::{Checker, Templates};

pub(super) fn spec() -> Spec {
    let types = ["string", "number", "integer", "boolean", "object", "array"];
    Spec {
        kind: "input".into(),
        title: "Input".into(),
        description: "Where a run starts: what the caller sends, checked and with defaults.".into(),
        category: "io".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "schema": {
                    "x-nodeai": "literal",
                    "description": "The inputs a caller may send; without it any are taken. Either a list of fields or a JSON Schema of the whole object.",
                    "anyOf": [
                        {"type": "array", "maxItems": 200, "items": {
                            "type": "object",
                            "additionalProperties": false,
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string", "minLength": 1, "maxLength": 128},
                                "type": {"type": "string", "enum": types},
                                "required": {"type": "boolean", "default": false},
                                "default": {},
                                "enum": {"type": "array"},
                                "title": {"type": "string"},
                                "description": {"type": "string"},
                            },
                        }},
                        {"type": "object"},
                    ],
                },
            },
        }),
        inputs: Vec::new(),
        outputs: vec![port("output", "The inputs", json!({"type": "object"}))],
        example: json!({"schema": [
            {"name": "question", "type": "string", "required": true},
            {"name": "model", "type": "string", "default": "builtin/echo"},
        ]}),
    }
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    Ok(Effect::Done(Outcome::new(call.inputs.clone())))
}

/// Fills defaults into `inputs` and checks them against one input node's `schema`. Faults
/// point below `/inputs`.
pub(crate) fn check(
    data: &Map<String, Value>,
    inputs: &mut Map<String, Value>,
    faults: &mut Faults,
) {
    let Some(schema) = data.get("schema") else {
        return;
    };
    let schema = match schema {
        Value::Array(fields) => schema_of_fields(fields),
        other => other.clone(),
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(default) = property
            .get("default")
            .filter(|_| !inputs.contains_key(name))
        {
            inputs.insert(name.clone(), default.clone());
        }
    }
    // Borrowed as a map, checked as a value: taken out and put back.
    let value = Value::Object(std::mem::take(inputs));
    Checker {
        templates: Templates::Plain,
        faults,
    }
    .check(&schema, &value, "/inputs");
    if let Value::Object(map) = value {
        *inputs = map;
    }
}

fn schema_of_fields(fields: &[Value]) -> Value {
    let name = |field: &Value| field["name"].as_str().unwrap_or_default().to_owned();
    let is_required = |field: &&Value| field["required"] == true && field.get("default").is_none();
    let required: Vec<String> = fields.iter().filter(is_required).map(name).collect();
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (name(field), only_schema(field)))
        .collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn only_schema(field: &Value) -> Value {
    let kept = ["type", "enum", "default"].into_iter();
    let kept = kept.filter_map(|name| Some((name.to_owned(), field.get(name)?.clone())));
    Value::Object(kept.collect())
}

/// Defaults must be valid by their own field.
pub(super) fn check_defaults(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let Some(Value::Array(fields)) = data.get("schema") else {
        return;
    };
    for (i, field) in fields.iter().enumerate() {
        if let Some(default) = field.get("default") {
            let at = format!("{at}/schema/{i}/{}", token("default"));
            Checker {
                templates: Templates::Plain,
                faults,
            }
            .check(&only_schema(field), default, &at);
        }
    }
}
