//! `note`: a remark on the canvas. It has no edges and never runs.

use serde_json::json;

use super::{Call, Effect, Outcome, Spec};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "note".into(),
        title: "Note".into(),
        description: "A remark on the canvas, in Markdown. It has no edges and never runs.".into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "text": {"type": "string", "maxLength": 20_000, "x-nodeai": "literal", "description": "Markdown"},
                "color": {"type": "string", "maxLength": 32, "x-nodeai": "literal"},
            },
        }),
        inputs: Vec::new(),
        outputs: Vec::new(),
        example: json!({"text": "## Why\nThe directory knows **people** only."}),
    }
}

/// Never called: the engine skips remarks from the beginning.
pub(super) fn decide(_: &Call<'_>) -> Result<Effect, NodeError> {
    Ok(Effect::Done(Outcome::new(json!(null))))
}
