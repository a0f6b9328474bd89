//! `filter`: keeps the items that meet conditions.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::order::{Collation, compare, same};
use super::path::Path;
use super::pattern::{self, Pattern};
use super::{done, entry, given, items_schema, list_port, path_schema, type_of};
use crate::fault::Faults;
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec};
use crate::template::{Templates, is_template};

const OPERATORS: [&str; 18] = [
    "equals",
    "not_equals",
    "greater",
    "greater_or_equal",
    "less",
    "less_or_equal",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "matches",
    "not_matches",
    "in",
    "not_in",
    "exists",
    "not_exists",
    "empty",
    "not_empty",
];

pub(super) fn spec() -> Spec {
    entry(
        "filter",
        "Filter",
        "Keeps the items for which an expression is true, or which meet all or any of some conditions.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "oneOf": [{"required": ["expression"]}, {"required": ["conditions"]}],
            "properties": {
                "items": items_schema(),
                "expression": {"type": "string", "minLength": 1, "x-nodeai": "expression", "x-nodeai-names": ["item", "index"],
                    "description": "Sees item and index, with or without {{ }}, such as item.price > 10 and item.tags"},
                "conditions": {"type": "array", "minItems": 1, "maxItems": 100, "items": {
                    "type": "object", "additionalProperties": false, "required": ["field", "operator"],
                    "properties": {
                        "field": path_schema("The field of the item"),
                        "operator": {"type": "string", "enum": OPERATORS},
                        "value": {"description": "What it is compared with"},
                    },
                }},
                "combine": {"type": "string", "enum": ["all", "any"], "default": "all"},
                "ignore_case": {"type": "boolean", "default": false},
                "loose": {"type": "boolean", "default": false, "description": "Take \"1\" for 1 and \"true\" for true"},
            },
        }),
        list_port("The items that were kept, in their order"),
        json!({"items": "{{ inputs.orders }}", "conditions": [{"field": "status", "operator": "equals", "value": "paid"}, {"field": "total", "operator": "greater", "value": 100}]}),
    )
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    expression: Option<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    combine: Combine,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    loose: bool,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Combine {
    #[default]
    All,
    Any,
}

#[derive(Deserialize)]
struct Condition {
    field: Path,
    operator: String,
    #[serde(default)]
    value: Value,
    #[serde(skip)]
    pattern: Option<Pattern>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let items = call.items(config.items.take())?;
    match &config.expression {
        Some(expression) => by_expression(call, items, expression),
        None => by_conditions(items, config),
    }
}

fn by_expression(
    call: &Call<'_>,
    items: Vec<Value>,
    expression: &str,
) -> Result<Effect, NodeError> {
    let templates = Templates::per_item();
    let expression = templates.prepare(expression, true);
    let mut scope = call.scope.for_items();
    let mut kept = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        scope.set_item(item, at);
        let wrong = |error| NodeError::template("expression", &error).of_item(at);
        let keep = expression.is_true(&scope).map_err(wrong)?;
        let item = scope.take_item();
        if keep {
            kept.push(item);
        }
    }
    Ok(done(Value::Array(kept)))
}

fn by_conditions(items: Vec<Value>, mut config: Config) -> Result<Effect, NodeError> {
    for (at, condition) in config.conditions.iter_mut().enumerate() {
        if condition.operator.ends_with("matches") {
            let field = format!("conditions/{at}/value");
            let text = condition.value.as_str().ok_or_else(|| {
                NodeError::config(format!(
                    "/{field}: expected a pattern, found {}",
                    type_of(&condition.value)
                ))
            })?;
            condition.pattern = Some(pattern::compile(&field, text, config.ignore_case, 1 << 20)?);
        }
    }
    let meets = |item: &Value| match config.combine {
        Combine::All => config.conditions.iter().all(|c| c.holds(item, &config)),
        Combine::Any => config.conditions.iter().any(|c| c.holds(item, &config)),
    };
    Ok(done(items.into_iter().filter(meets).collect()))
}

impl Condition {
    fn holds(&self, item: &Value, config: &Config) -> bool {
        let found = self.field.get(item);
        let value = found.unwrap_or(&Value::Null);
        let same = |a: &Value, b: &Value| same(a, b, config.loose, config.ignore_case);
        let by = Collation {
            ignore_case: config.ignore_case,
            natural: false,
        };
        let order =
            || comparable(value, &self.value, config.loose).map(|(a, b)| compare(&a, &b, by));
        let text = |probe: fn(&str, &str) -> bool| match (value, &self.value) {
            (Value::String(text), Value::String(part)) if config.ignore_case => {
                probe(&text.to_lowercase(), &part.to_lowercase())
            }
            (Value::String(text), Value::String(part)) => probe(text, part),
            _ => false,
        };
        let contains = || match value {
            Value::Array(items) => items.iter().any(|item| same(item, &self.value)),
            Value::Object(map) => self
                .value
                .as_str()
                .is_some_and(|name| map.contains_key(name)),
            _ => text(|text, part| text.contains(part)),
        };
        let matches = || {
            self.pattern
                .as_ref()
                .is_some_and(|p| value.as_str().is_some_and(|text| p.is_match(text)))
        };
        let is_in = || {
            self.value
                .as_array()
                .is_some_and(|all| all.iter().any(|one| same(value, one)))
        };
        match self.operator.as_str() {
            "equals" => same(value, &self.value),
            "not_equals" => !same(value, &self.value),
            "greater" => order().is_some_and(|order| order.is_gt()),
            "greater_or_equal" => order().is_some_and(|order| order.is_ge()),
            "less" => order().is_some_and(|order| order.is_lt()),
            "less_or_equal" => order().is_some_and(|order| order.is_le()),
            "contains" => contains(),
            "not_contains" => !contains(),
            "starts_with" => text(|text, part| text.starts_with(part)),
            "ends_with" => text(|text, part| text.ends_with(part)),
            "matches" => matches(),
            "not_matches" => !matches(),
            "in" => is_in(),
            "not_in" => !is_in(),
            "exists" => found.is_some_and(|value| !value.is_null()),
            "not_exists" => found.is_none_or(Value::is_null),
            "empty" => is_empty(value),
            _ => !is_empty(value),
        }
    }
}

/// Two values of one type, or two numbers of which one is written as text.
fn comparable(a: &Value, b: &Value, loose: bool) -> Option<(Value, Value)> {
    let number = |value: &Value| match value {
        Value::String(text) if loose => serde_json::from_str(text.trim()).ok().map(Value::Number),
        _ => None,
    };
    let (x, y) = match (a, b) {
        (Value::Number(_), Value::String(_)) => (a.clone(), number(b)?),
        (Value::String(_), Value::Number(_)) => (number(a)?, b.clone()),
        _ => (a.clone(), b.clone()),
    };
    (std::mem::discriminant(&x) == std::mem::discriminant(&y)).then_some((x, y))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Patterns that are written out must be some.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let conditions = data.get("conditions").and_then(Value::as_array);
    for (i, condition) in conditions.into_iter().flatten().enumerate() {
        let by_pattern = condition["operator"]
            .as_str()
            .is_some_and(|name| name.ends_with("matches"));
        let written = condition["value"]
            .as_str()
            .filter(|text| !is_template(text));
        if let (true, Some(text)) = (by_pattern, written)
            && let Err(error) = pattern::compile("value", text, false, 0)
        {
            faults.add(
                format!("{at}/conditions/{i}/value"),
                "bad_pattern",
                error.message,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check as gives, refuse};
    use super::*;

    fn orders() -> Value {
        json!([
            {"id": 1, "s": "Paid", "n": 10, "tags": ["a"], "note": ""},
            {"id": 2, "s": "open", "n": "20", "tags": [], "note": null},
            {"id": 3, "s": "paid late", "n": 30.0, "tags": ["b", "A"]},
        ])
    }

    fn kept(condition: Value, extra: Value) -> Vec<i64> {
        let mut data = json!({"conditions": [condition]});
        data.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let found = super::super::testing::run("filter", data, orders()).expect("valid");
        found
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["id"].as_i64())
            .collect()
    }

    #[test]
    fn every_operator_does_what_it_says() {
        let cases = [
            ("s", "equals", json!("Paid"), vec![1]),
            ("s", "not_equals", json!("Paid"), vec![2, 3]),
            ("n", "greater", json!(10), vec![3]),
            ("n", "greater_or_equal", json!(10), vec![1, 3]),
            ("n", "less", json!(30), vec![1]),
            ("n", "less_or_equal", json!(30), vec![1, 3]),
            ("s", "contains", json!("a"), vec![1, 3]),
            ("tags", "contains", json!("a"), vec![1]),
            ("tags", "not_contains", json!("a"), vec![2, 3]),
            ("s", "starts_with", json!("pa"), vec![3]),
            ("s", "ends_with", json!("late"), vec![3]),
            ("s", "matches", json!("^[Pp]aid$"), vec![1]),
            ("s", "not_matches", json!("^[Pp]aid$"), vec![2, 3]),
            ("id", "in", json!([1, 3.0]), vec![1, 3]),
            ("id", "not_in", json!([1, 3.0]), vec![2]),
            ("note", "exists", json!(null), vec![1]),
            ("note", "not_exists", json!(null), vec![2, 3]),
            ("tags", "empty", json!(null), vec![2]),
            ("note", "not_empty", json!(null), vec![]),
        ];
        for (field, operator, value, expected) in cases {
            let condition = json!({"field": field, "operator": operator, "value": value});
            assert_eq!(kept(condition, json!({})), expected, "{field} {operator}");
        }
    }

    #[test]
    fn case_and_notation_can_be_ignored() {
        let condition = |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
        assert_eq!(
            kept(
                condition("s", "starts_with", json!("PAID")),
                json!({"ignore_case": true})
            ),
            [1, 3]
        );
        assert_eq!(
            kept(
                condition("tags", "contains", json!("a")),
                json!({"ignore_case": true})
            ),
            [1, 3]
        );
        assert_eq!(
            kept(condition("n", "greater", json!(15)), json!({"loose": true})),
            [2, 3]
        );
        assert_eq!(
            kept(condition("n", "equals", json!(20)), json!({"loose": true})),
            [2]
        );
    }

    #[test]
    fn expressions_see_item_and_index() {
        gives(
            "filter",
            json!({"expression": "item > 1 and index < 3"}),
            json!([1, 2, 3, 4]),
            json!([2, 3]),
        );
        refuse(
            "filter",
            json!({"expression": "item.a + 1 > 0"}),
            json!([{"a": 1}, {"a": "x"}]),
            "/expression: item 1: ",
        );
        refuse(
            "filter",
            json!({"conditions": [{"field": "a", "operator": "matches", "value": "("}]}),
            json!([]),
            "/conditions/0/value",
        );
        let work = "range(99999) | list | length > 0";
        refuse(
            "filter",
            json!({"expression": format!("{{% for i in range(9999) %}}{{% endfor %}}{work}")}),
            json!([1]),
            "expression",
        );
    }
}
