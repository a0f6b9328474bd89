//! `join`: merges two lists by key or by position.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::columns::{all_objects, key_of};
use super::path::Path;
use super::{done, entry, list_port, path_schema, to_items};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec};

pub(super) fn spec() -> Spec {
    let keys = |side: &str| {
        json!({"type": "array", "minItems": 1, "maxItems": 20, "items": path_schema("A field"),
        "description": format!("The fields of the {side} items that must be equal")})
    };
    entry(
        "join",
        "Join",
        "Merges two lists of objects, by the values of key fields (inner, left, right or outer join) or by position.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["left", "right"],
            "properties": {
                "left": {"description": "A list of objects"},
                "right": {"description": "A list of objects"},
                "by": {"type": "string", "enum": ["key", "position"], "default": "key"},
                "left_key": keys("left"),
                "right_key": keys("right"),
                "join": {"type": "string", "enum": ["inner", "left", "right", "outer"], "default": "inner",
                    "description": "Which items without a partner stay: none, those of the left, of the right, or all"},
                "clash": {"type": "string", "enum": ["right", "left", "nest"], "default": "right",
                    "description": "Whose fields win when both have one of the same name; nest makes {left, right} of each pair"},
                "loose": {"type": "boolean", "default": false, "description": "Take \"1\" for 1"},
                "ignore_case": {"type": "boolean", "default": false},
            },
        }),
        list_port("The pairs, in the order of the left list; then what is left over of the right"),
        json!({"left": "{{ inputs.orders }}", "right": "{{ inputs.customers }}", "left_key": ["customer_id"], "right_key": ["id"], "join": "left"}),
    )
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Inner,
    Left,
    Right,
    Outer,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Clash {
    Left,
    #[default]
    Right,
    Nest,
}

#[derive(Deserialize)]
struct Config {
    left: Value,
    right: Value,
    by: Option<String>,
    left_key: Option<Vec<Path>>,
    right_key: Option<Vec<Path>>,
    #[serde(default)]
    join: Kind,
    #[serde(default)]
    clash: Clash,
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
    let pairs = match config.by.as_deref() {
        Some("position") => by_position(left.len(), right.len()),
        _ => by_key(&left, &right, &config)?,
    };
    let keeps = |pair: &(Option<usize>, Option<usize>)| match pair {
        (Some(_), Some(_)) => true,
        (Some(_), None) => matches!(config.join, Kind::Left | Kind::Outer),
        _ => matches!(config.join, Kind::Right | Kind::Outer),
    };
    let rows = pairs
        .into_iter()
        .filter(keeps)
        .map(|(l, r)| merge(l.map(|at| &left[at]), r.map(|at| &right[at]), config.clash));
    Ok(done(rows.collect()))
}

type Pairs = Vec<(Option<usize>, Option<usize>)>;

fn by_position(left: usize, right: usize) -> Pairs {
    let at = |at: usize, count: usize| (at < count).then_some(at);
    (0..left.max(right))
        .map(|i| (at(i, left), at(i, right)))
        .collect()
}

/// Items without a key (null or missing) have no partner, as in SQL.
fn by_key(left: &[Value], right: &[Value], config: &Config) -> Result<Pairs, NodeError> {
    let given = config.left_key.as_ref().or(config.right_key.as_ref());
    let given = given
        .ok_or_else(|| NodeError::config("/left_key: is required to join by key".to_owned()))?;
    let left_key = config.left_key.as_ref().unwrap_or(given);
    let right_key = config.right_key.as_ref().unwrap_or(given);
    if left_key.len() != right_key.len() {
        return Err(NodeError::config(
            "/right_key: must have as many fields as left_key".to_owned(),
        ));
    }
    let key = |item: &Value, paths: &[Path]| {
        let whole = paths
            .iter()
            .all(|path| path.get(item).is_some_and(|value| !value.is_null()));
        whole.then(|| key_of(item, paths, config.loose, config.ignore_case))
    };
    let mut partners: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, item) in right.iter().enumerate() {
        if let Some(key) = key(item, right_key) {
            partners.entry(key).or_default().push(at);
        }
    }
    let mut used = vec![false; right.len()];
    let mut pairs = Vec::new();
    for (at, item) in left.iter().enumerate() {
        let found = key(item, left_key).and_then(|key| partners.get(&key));
        match found {
            Some(found) => {
                for &other in found {
                    used[other] = true;
                    pairs.push((Some(at), Some(other)));
                }
            }
            None => pairs.push((Some(at), None)),
        }
        if pairs.len() > super::MOST_ITEMS {
            return Err(super::too_large(format!(
                "the join has more than {} pairs",
                super::MOST_ITEMS
            )));
        }
    }
    let over = used.iter().enumerate().filter(|(_, used)| !**used);
    pairs.extend(over.map(|(at, _)| (None, Some(at))));
    Ok(pairs)
}

fn merge(left: Option<&Value>, right: Option<&Value>, clash: Clash) -> Value {
    if clash == Clash::Nest {
        return json!({"left": left, "right": right});
    }
    let fields =
        |item: Option<&Value>| item.and_then(Value::as_object).cloned().unwrap_or_default();
    let (left, right) = (fields(left), fields(right));
    let mut merged: Map<String, Value> = left;
    for (name, value) in right {
        if clash == Clash::Right || !merged.contains_key(&name) {
            merged.insert(name, value);
        }
    }
    Value::Object(merged)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    fn data(extra: Value) -> Value {
        let mut data = json!({
            "left": [{"id": 1, "a": "x"}, {"id": 2, "a": "y"}, {"id": null, "a": "n"}],
            "right": [{"k": 2, "a": "Y"}, {"k": "1", "a": "s"}, {"k": 2, "a": "Z"}, {"k": null, "a": "N"}],
            "left_key": ["id"], "right_key": ["k"],
        });
        data.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        data
    }

    #[test]
    fn every_join_is_that_of_sql() {
        let pairs = json!([{"id": 2, "a": "Y", "k": 2}, {"id": 2, "a": "Z", "k": 2}]);
        check("join", data(json!({})), json!(null), pairs);
        check(
            "join",
            data(json!({"join": "left", "clash": "left"})),
            json!(null),
            json!([
                {"id": 1, "a": "x"}, {"id": 2, "a": "y", "k": 2}, {"id": 2, "a": "y", "k": 2}, {"id": null, "a": "n"},
            ]),
        );
        check(
            "join",
            data(json!({"join": "right", "clash": "nest"})),
            json!(null),
            json!([
                {"left": {"id": 2, "a": "y"}, "right": {"k": 2, "a": "Y"}}, {"left": {"id": 2, "a": "y"}, "right": {"k": 2, "a": "Z"}},
                {"left": null, "right": {"k": "1", "a": "s"}}, {"left": null, "right": {"k": null, "a": "N"}},
            ]),
        );
        let outer = super::super::testing::run(
            "join",
            data(json!({"join": "outer", "loose": true})),
            json!(null),
        )
        .expect("valid");
        assert_eq!(outer.as_array().map(Vec::len), Some(5));
    }

    #[test]
    fn positions_pair_up() {
        let data = json!({"left": [{"a": 1}, {"a": 2}], "right": [{"b": 1}], "by": "position", "join": "outer"});
        check(
            "join",
            data,
            json!(null),
            json!([{"a": 1, "b": 1}, {"a": 2}]),
        );
    }

    #[test]
    fn products_are_bounded_and_keys_are_needed() {
        let many = vec![json!({"k": 1}); 300];
        refuse(
            "join",
            json!({"left": many, "right": many, "left_key": ["k"]}),
            json!(null),
            "more than 50000 pairs",
        );
        refuse(
            "join",
            json!({"left": [], "right": []}),
            json!(null),
            "/left_key",
        );
        refuse(
            "join",
            json!({"left": [1], "right": [], "left_key": ["k"]}),
            json!(null),
            "/left/0: expected an object",
        );
    }
}
