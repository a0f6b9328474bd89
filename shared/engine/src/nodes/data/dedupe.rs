//! `dedupe`: one of each.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::columns::key_of;
use super::order::key;
use super::path::Path;
use super::{done, entry, given, items_schema, list_port, path_schema};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec};

pub(super) fn spec() -> Spec {
    entry(
        "dedupe",
        "Remove duplicates",
        "Keeps one of the items that are equal, or that are equal in some fields.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "items": items_schema(),
                "by": {"type": "array", "minItems": 1, "maxItems": 50, "items": path_schema("A field"), "description": "Without it items are compared as a whole"},
                "keep": {"type": "string", "enum": ["first", "last"], "default": "first"},
                "ignore_case": {"type": "boolean", "default": false},
                "loose": {"type": "boolean", "default": false, "description": "Take \"1\" for 1 and \"true\" for true"},
            },
        }),
        list_port("The items that were kept, in their order"),
        json!({"items": "{{ inputs.leads }}", "by": ["email"], "ignore_case": true}),
    )
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    #[serde(default)]
    by: Vec<Path>,
    keep: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    loose: bool,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut items = call.items(config.items)?;
    let from_end = config.keep.as_deref() == Some("last");
    if from_end {
        items.reverse();
    }
    let mut seen = HashSet::new();
    items.retain(|item| {
        seen.insert(match config.by.is_empty() {
            true => key(item, config.loose, config.ignore_case),
            false => key_of(item, &config.by, config.loose, config.ignore_case),
        })
    });
    if from_end {
        items.reverse();
    }
    Ok(done(Value::Array(items)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    #[test]
    fn the_first_or_the_last_of_equal_items_stays() {
        let items = || json!([{"e": "A", "n": 1}, {"e": "a", "n": 2}, {"e": "b", "n": 3}, {"n": 4}, {"e": null, "n": 5}]);
        check(
            "dedupe",
            json!({"by": ["e"]}),
            items(),
            json!([{"e": "A", "n": 1}, {"e": "a", "n": 2}, {"e": "b", "n": 3}, {"n": 4}]),
        );
        check(
            "dedupe",
            json!({"by": ["e"], "ignore_case": true, "keep": "last"}),
            items(),
            json!([{"e": "a", "n": 2}, {"e": "b", "n": 3}, {"e": null, "n": 5}]),
        );
        check(
            "dedupe",
            json!({}),
            json!([1, 1.0, "1", [1], [1.0]]),
            json!([1, "1", [1]]),
        );
        check(
            "dedupe",
            json!({"loose": true}),
            json!([1, "1"]),
            json!([1]),
        );
    }
}
