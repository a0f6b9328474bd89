//! `stop`: ends the run with an error of one's own.

use serde::Deserialize;
use serde_json::json;

use super::{Call, Effect, Spec, port};
use crate::log::NodeError;

/// Most characters of a message.
const LONGEST: usize = 4_000;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "stop".into(),
        title: "Stop and error".into(),
        description:
            "Fails with a message of your own. The run fails, or takes the node's error edge."
                .into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["message"],
            "properties": {
                "message": {"type": "string", "minLength": 1, "description": "What went wrong, for people"},
                "kind": {"type": "string", "minLength": 1, "maxLength": 64, "default": "stopped", "x-nodeai": "literal",
                    "description": "A stable name of the error, for programs"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port(
            "output",
            "Taken only with on_error: continue",
            json!({}),
        )],
        example: json!({"message": "No person has the address {{ inputs.email }}.", "kind": "unknown_person"}),
    }
}

#[derive(Deserialize)]
struct Config {
    message: String,
    kind: Option<String>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let message: String = config.message.chars().take(LONGEST).collect();
    let kind = config.kind.as_deref().unwrap_or("stopped");
    Err(NodeError::new(kind, message, false))
}
