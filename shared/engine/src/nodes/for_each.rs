//! `for_each`: runs its body once for each item of a list, or for each batch of items.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Effect, Spec, port};
use crate::log::NodeError;

/// Most iterations of one loop.
pub(crate) const MOST_ITERATIONS: u64 = 10_000;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "for_each".into(),
        title: "For each".into(),
        description: "Runs the nodes whose parentId it is, once for each item of a list, one after the other or several at a time. They see item, index and loops.<id>. Its output is the list of what `result` gave, in the order of the items.".into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["items"],
            "properties": {
                "items": {"description": "The list, usually {{ nodes.<id>.output }}"},
                "batch_size": {"type": "integer", "minimum": 1, "maximum": MOST_ITERATIONS, "default": 1,
                    "description": "With more than 1, item is a list of up to so many items"},
                "concurrency": {"type": "integer", "minimum": 1, "maximum": 100, "default": 1, "x-nodeai": "literal",
                    "description": "How many iterations may be at work at the same time"},
                "result": {"type": "string", "minLength": 1, "x-nodeai": "literal",
                    "description": "The node of the body whose output is an iteration's result; without it the node that nothing follows, or an object of them by id"},
                "on_item_error": {"type": "string", "enum": ["fail", "continue", "drop"], "default": "fail", "x-nodeai": "literal",
                    "description": "When a node of the body fails: fail the loop, put {error} in the list, or leave the item out"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The results", json!({"type": "array"}))],
        example: json!({"items": "{{ inputs.people }}", "concurrency": 4}),
    }
}

#[derive(Deserialize)]
struct Config {
    items: Value,
    #[serde(default)]
    batch_size: Option<usize>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let Value::Array(items) = config.items else {
        let message = "/items: is not a list; a list of another node is {{ nodes.<id>.output }}";
        return Err(NodeError::config(message.to_owned()));
    };
    let items: Vec<Value> = match config.batch_size {
        None | Some(0 | 1) => items,
        Some(size) => items
            .chunks(size)
            .map(|some| some.to_vec().into())
            .collect(),
    };
    if items.len() as u64 > MOST_ITERATIONS {
        let message = format!("/items: more than {MOST_ITERATIONS} iterations");
        return Err(NodeError::config(message));
    }
    Ok(Effect::Enter(items))
}
