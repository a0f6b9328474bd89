//! `transform`: a value computed from others.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "transform".into(),
        title: "Transform".into(),
        description: "Computes a value: one expression, or an object of fields.".into(),
        category: "data".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "oneOf": [{"required": ["expression"]}, {"required": ["fields"]}],
            "properties": {
                "expression": {"type": "string", "minLength": 1, "x-nodeai": "expression",
                    "description": "An expression, with or without {{ }}; its value is the output"},
                "fields": {"type": "object", "additionalProperties": {},
                    "description": "An object; its strings are templates"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The value", json!({}))],
        example: json!({"fields": {"total": "{{ inputs.price * inputs.count }}"}}),
    }
}

#[derive(Deserialize)]
struct Config {
    expression: Option<String>,
    fields: Option<Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let output = match (config.expression, config.fields) {
        (Some(expression), None) => call
            .templates
            .evaluate(&expression, call.scope)
            .map_err(|error| NodeError::template("expression", &error))?,
        (None, Some(fields)) => fields,
        _ => {
            return Err(NodeError::config(
                "give either expression or fields".to_owned(),
            ));
        }
    };
    Ok(Effect::Done(Outcome::new(output)))
}
