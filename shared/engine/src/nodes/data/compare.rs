//! `compare`: what two lists have in common and where they differ.

use std::collections::HashMap;

use indexmap::IndexSet;
use serde::Deserialize;
use serde_json::{Value, json};

use super::columns::{all_objects, key_of};
use super::order::same;
use super::path::Path;
use super::{done, entry, path_schema, to_items};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

pub(super) fn spec() -> Spec {
    let list = || json!({"type": "array"});
    entry(
        "compare",
        "Compare datasets",
        "Compares two lists of objects by key: items only in one, items that are the same, and items that differ with the fields in which they do.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["left", "right", "key"],
            "properties": {
                "left": {"description": "A list of objects, such as what was"},
                "right": {"description": "A list of objects, such as what is"},
                "key": {"type": "array", "minItems": 1, "maxItems": 20, "items": path_schema("A field"), "description": "The fields by which items belong together"},
                "fields": {"type": "array", "minItems": 1, "maxItems": 200, "items": {"type": "string"}, "description": "Compare these fields only"},
                "ignore": {"type": "array", "maxItems": 200, "items": {"type": "string"}, "description": "Fields that do not count"},
                "loose": {"type": "boolean", "default": false, "description": "Take \"1\" for 1"},
                "ignore_case": {"type": "boolean", "default": false},
            },
        }),
        port(
            "output",
            "The comparison",
            json!({"type": "object", "properties": {
                "only_left": list(), "only_right": list(), "same": list(),
                "different": {"type": "array", "items": {"type": "object", "properties": {"left": {}, "right": {}, "fields": {"type": "array", "items": {"type": "string"}}}}},
            }}),
        ),
        json!({"left": "{{ inputs.before }}", "right": "{{ inputs.now }}", "key": ["id"], "ignore": ["updated_at"]}),
    )
}

#[derive(Deserialize)]
struct Config {
    left: Value,
    right: Value,
    key: Vec<Path>,
    fields: Option<Vec<String>>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    loose: bool,
    #[serde(default)]
    ignore_case: bool,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let left = to_items("left", config.left.take())?;
    let right = to_items("right", config.right.take())?;
    all_objects("left", &left)?;
    all_objects("right", &right)?;
    let key = |item: &Value| key_of(item, &config.key, config.loose, config.ignore_case);
    // Items with the same key pair up in their order.
    let mut waiting: HashMap<String, std::collections::VecDeque<usize>> = HashMap::new();
    for (at, item) in right.iter().enumerate() {
        waiting.entry(key(item)).or_default().push_back(at);
    }
    let mut paired = vec![false; right.len()];
    let (mut only_left, mut equal, mut different) = (Vec::new(), Vec::new(), Vec::new());
    for item in left {
        let partner = waiting
            .get_mut(&key(&item))
            .and_then(std::collections::VecDeque::pop_front);
        let Some(at) = partner else {
            only_left.push(item);
            continue;
        };
        paired[at] = true;
        let fields = config.differences(&item, &right[at]);
        if fields.is_empty() {
            equal.push(item);
        } else {
            different.push(json!({"left": item, "right": right[at], "fields": fields}));
        }
    }
    let over = right.into_iter().zip(paired).filter(|(_, paired)| !paired);
    let only_right: Vec<Value> = over.map(|(item, _)| item).collect();
    Ok(done(
        json!({"only_left": only_left, "only_right": only_right, "same": equal, "different": different}),
    ))
}

impl Config {
    fn differences(&self, left: &Value, right: &Value) -> Vec<String> {
        let names = [left, right]
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|map| map.keys());
        let names: IndexSet<&String> = names.collect();
        let counts = |name: &&&String| {
            self.fields.as_ref().is_none_or(|only| only.contains(name))
                && !self.ignore.contains(name)
        };
        let null = Value::Null;
        let of = |item: &'_ Value, name: &str| item.get(name).unwrap_or(&null).clone();
        let differ = |name: &&&String| {
            !same(
                &of(left, name),
                &of(right, name),
                self.loose,
                self.ignore_case,
            )
        };
        names
            .iter()
            .filter(counts)
            .filter(differ)
            .map(|name| (*name).clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    #[test]
    fn differences_are_named() {
        let before = json!([{"id": 1, "n": 1, "t": 1}, {"id": 2, "n": 2, "t": 1}, {"id": 3}, {"id": 4, "x": null}]);
        let now =
            json!([{"id": 2, "n": 3, "t": 2}, {"id": 1, "n": 1.0, "t": 2}, {"id": 5}, {"id": 4}]);
        let data = json!({"left": before, "right": now, "key": ["id"], "ignore": ["t"]});
        check(
            "compare",
            data,
            json!(null),
            json!({
                "only_left": [{"id": 3}], "only_right": [{"id": 5}],
                "same": [{"id": 1, "n": 1, "t": 1}, {"id": 4, "x": null}],
                "different": [{"left": {"id": 2, "n": 2, "t": 1}, "right": {"id": 2, "n": 3, "t": 2}, "fields": ["n"]}],
            }),
        );
    }

    #[test]
    fn equal_keys_pair_in_their_order() {
        let data = json!({"left": [{"k": 1, "v": 1}, {"k": 1, "v": 2}], "right": [{"k": 1, "v": 1}], "key": ["k"], "fields": ["v"]});
        check(
            "compare",
            data,
            json!(null),
            json!({"only_left": [{"k": 1, "v": 2}], "only_right": [], "same": [{"k": 1, "v": 1}], "different": []}),
        );
    }
}
