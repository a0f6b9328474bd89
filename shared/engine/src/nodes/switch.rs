//! `switch`: takes the edges of the first case that holds.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::fault::Faults;
use crate::log::NodeError;

/// Names that would be taken for something else.
const TAKEN: [&str; 3] = ["default", "error", "*"];

pub(super) fn spec() -> Spec {
    Spec {
        kind: "switch".into(),
        title: "Switch".into(),
        description: "Goes the way of the first case that holds; an edge's sourceHandle is the case's name, or default. What hangs only on other ways is skipped.".into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["cases"],
            "properties": {
                "value": {"description": "What cases with `equals` are compared with, usually {{ … }}"},
                "cases": {"type": "array", "minItems": 1, "maxItems": 100, "items": {
                    "type": "object", "additionalProperties": false, "required": ["name"],
                    "oneOf": [{"required": ["when"]}, {"required": ["equals"]}],
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 128, "x-nodeai": "literal"},
                        "when": {"type": "string", "minLength": 1, "x-nodeai": "expression", "description": "An expression"},
                        "equals": {"description": "Holds when value is this"},
                    },
                }},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("default", "Taken when no case holds; each case has a handle of its own name", json!({
            "type": "object", "properties": {"case": {"type": "string"}},
        }))],
        example: json!({"cases": [
            {"name": "refund", "when": "'refund' in nodes.classify.output.text | lower"},
            {"name": "urgent", "when": "inputs.priority > 3"},
        ]}),
    }
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    value: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    when: Option<String>,
    equals: Option<Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut taken = "default".to_owned();
    for (i, case) in config.cases.into_iter().enumerate() {
        let holds = match &case.when {
            Some(when) => {
                let truth = call.templates.is_true(when, call.scope);
                truth.map_err(|error| NodeError::template(&format!("cases/{i}/when"), &error))?
            }
            None => case.equals.unwrap_or_default() == config.value,
        };
        if holds {
            taken = case.name;
            break;
        }
    }
    Ok(Effect::Done(Outcome {
        output: json!({"case": taken}),
        handle: taken,
    }))
}

/// The cases' names, each a handle.
pub(crate) fn cases(data: &Map<String, Value>) -> Vec<&str> {
    let cases = data.get("cases").and_then(Value::as_array);
    let names = cases.into_iter().flatten();
    names.filter_map(|case| case["name"].as_str()).collect()
}

pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let mut seen = Vec::new();
    for (i, name) in cases(data).into_iter().enumerate() {
        let at = format!("{at}/cases/{i}/name");
        if TAKEN.contains(&name) {
            faults.add(at, "not_allowed", format!("a case cannot be named {name}"));
        } else if seen.contains(&name) {
            faults.add(
                at,
                "duplicate_name",
                format!("there are two cases {name:?}"),
            );
        }
        seen.push(name);
    }
}
