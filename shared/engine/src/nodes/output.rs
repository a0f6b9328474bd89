//! `output`: what a run gives back.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "output".into(),
        title: "Output".into(),
        description: "What the run gives back, under `name` or else under the node's id.".into(),
        category: "io".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["value"],
            "properties": {
                "value": {"description": "Any value; strings are templates"},
                "name": {"type": "string", "minLength": 1, "maxLength": 128, "x-nodeai": "literal",
                    "description": "The name among the run's outputs"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: Vec::new(),
        example: json!({"value": "{{ nodes.answer.output.text }}"}),
    }
}

#[derive(Deserialize)]
struct Config {
    value: Value,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    Ok(Effect::Done(Outcome::new(config.value)))
}
