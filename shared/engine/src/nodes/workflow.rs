//! `workflow`: runs a version of another workflow as part of this run.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Effect, Spec, port};
use crate::fault::Faults;
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "workflow".into(),
        title: "Workflow".into(),
        description: "Runs a version of another workflow inside this run: one log, one trace, one limit. Its output is what that workflow gives back.".into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["workflow_id", "version"],
            "properties": {
                "workflow_id": {"type": "string", "minLength": 36, "maxLength": 36, "x-nodeai": "literal", "description": "The workflow's id (UUID)"},
                "version": {"type": "integer", "minimum": 1, "x-nodeai": "literal", "description": "Its version; a later one changes nothing here"},
                "inputs": {"type": "object", "additionalProperties": {}, "description": "Values for its input nodes"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "Its outputs by name", json!({"type": "object"}))],
        example: json!({
            "workflow_id": "0190d5f0-7b9c-7000-8000-000000000000", "version": 3,
            "inputs": {"question": "{{ inputs.question }}"},
        }),
    }
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    inputs: Map<String, Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut inputs = config.inputs;
    let Some(starts) = &call.callee else {
        let message = "that version of the workflow is not there";
        return Err(NodeError::new("workflow_missing", message, false));
    };
    let mut faults = Faults::default();
    for data in starts {
        super::check_inputs(data, &mut inputs, &mut faults);
    }
    match faults.into_vec().first() {
        Some(fault) => Err(NodeError::config(format!(
            "{}: {}",
            fault.pointer, fault.message
        ))),
        None => Ok(Effect::Enter(vec![Value::Object(inputs)])),
    }
}
