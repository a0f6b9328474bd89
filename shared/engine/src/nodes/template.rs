//! `template`: text with values filled in.

use serde::Deserialize;
use serde_json::json;

use super::{Call, Effect, Outcome, Spec, port};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "template".into(),
        title: "Template".into(),
        description: "Writes a text with values filled in (Jinja syntax).".into(),
        category: "data".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["template"],
            "properties": {"template": {"type": "string", "description": "The text"}},
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port(
            "output",
            "The text",
            json!({"type": "object", "properties": {"text": {"type": "string"}}}),
        )],
        example: json!({"template": "Dear {{ inputs.name }},\n{{ nodes.answer.output.text }}"}),
    }
}

#[derive(Deserialize)]
struct Config {
    template: String,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    Ok(Effect::Done(Outcome::new(json!({"text": config.template}))))
}
