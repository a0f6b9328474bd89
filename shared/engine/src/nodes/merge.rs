//! `merge`: joins branches. `join` says when it runs, `mode` what it makes of the values.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "merge".into(),
        title: "Merge".into(),
        description:
            "Joins branches and gathers their values. Branches that were not taken are left out."
                .into(),
        category: "flow".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "mode": {"type": "string", "enum": ["object", "array", "first"], "default": "object", "x-nodeai": "literal",
                    "description": "object: values by node id; array: values in the order of the edges; first: the first of them"},
                "join": {"default": "all", "x-nodeai": "literal",
                    "anyOf": [{"type": "string", "enum": ["all", "any"]}, {"type": "integer", "minimum": 1, "maximum": 1_000}],
                    "description": "all: wait until every branch has come or been skipped; any: run as soon as one has come; a number: as soon as so many have come. Values that come later are left out"},
            },
        }),
        inputs: vec![port(
            "input",
            "The branches; other names are allowed too",
            json!({}),
        )],
        outputs: vec![port("output", "The values", json!({}))],
        example: json!({"mode": "object", "join": "all"}),
    }
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Object,
    Array,
    First,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    mode: Mode,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut values = call.incoming.iter().map(|incoming| incoming.value.clone());
    let output = match config.mode {
        Mode::Array => values.collect(),
        Mode::First => values.next().unwrap_or(Value::Null),
        Mode::Object => {
            let pairs = call
                .incoming
                .iter()
                .map(|i| (i.source.to_owned(), i.value.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    };
    Ok(Effect::Done(Outcome::new(output)))
}
