//! `while`: runs its body again and again as long as a condition holds.

use serde::Deserialize;
use serde_json::json;

use super::for_each::MOST_ITERATIONS;
use super::{Call, Effect, Outcome, Spec, port};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "while".into(),
        title: "While".into(),
        description: "Runs the nodes whose parentId it is, as long as a condition holds. The condition and the body see index and previous: how many iterations there were, and the result of the last one (null before the first).".into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["condition"],
            "properties": {
                "condition": {"type": "string", "minLength": 1, "x-nodeai": "expression",
                    "description": "An expression, looked at before each iteration"},
                "max_iterations": {"type": "integer", "minimum": 1, "maximum": MOST_ITERATIONS, "default": 100, "x-nodeai": "literal"},
                "on_limit": {"type": "string", "enum": ["fail", "stop"], "default": "fail", "x-nodeai": "literal",
                    "description": "When the condition still holds after the last iteration that is allowed"},
                "result": {"type": "string", "minLength": 1, "x-nodeai": "literal",
                    "description": "The node of the body whose output is an iteration's result; without it the node that nothing follows, or an object of them by id"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The result of the last iteration, and how many there were", json!({
            "type": "object", "properties": {"result": {}, "iterations": {"type": "integer"}},
        }))],
        example: json!({"condition": "index == 0 or previous.body.next", "max_iterations": 50}),
    }
}

#[derive(Deserialize)]
struct Config {
    condition: String,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let more = call.templates.is_true(&config.condition, call.scope);
    let more = more.map_err(|error| NodeError::template("condition", &error))?;
    Ok(match more {
        true => Effect::Enter(vec![call.round.previous.clone()]),
        false => Effect::Done(Outcome::new(call.round.output())),
    })
}
