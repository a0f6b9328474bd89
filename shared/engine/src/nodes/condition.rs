//! `condition`: takes the edges from `true` or from `false`.

use serde::Deserialize;
use serde_json::json;

use super::{Call, Effect, Outcome, Spec, port};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    let result = json!({"type": "object", "properties": {"result": {"type": "boolean"}}});
    Spec {
        kind: "condition".into(),
        title: "Condition".into(),
        description: "Goes one of two ways. What hangs only on the other way is skipped.".into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["expression"],
            "properties": {
                "expression": {"type": "string", "minLength": 1, "x-nodeai": "expression",
                    "description": "An expression, with or without {{ }}; its truth decides"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![
            port("true", "Taken when the expression is true", result.clone()),
            port("false", "Taken when it is false", result),
        ],
        example: json!({"expression": "'refund' in nodes.classify.output.text | lower"}),
    }
}

#[derive(Deserialize)]
struct Config {
    expression: String,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let result = call.templates.is_true(&config.expression, call.scope);
    let result = result.map_err(|error| NodeError::template("expression", &error))?;
    let handle = if result { "true" } else { "false" };
    Ok(Effect::Done(Outcome {
        output: json!({"result": result}),
        handle: handle.to_owned(),
    }))
}
