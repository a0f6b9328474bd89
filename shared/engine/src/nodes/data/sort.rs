//! `sort`: puts items in order.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use super::order::{Collation, compare};
use super::path::Path;
use super::{done, entry, given, items_schema, list_port, path_schema};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec};

pub(super) fn spec() -> Spec {
    entry(
        "sort",
        "Sort",
        "Puts items in order, by one or more fields or by themselves. Items that are equal stay in their order.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "items": items_schema(),
                "by": {"type": "array", "minItems": 1, "maxItems": 20, "description": "Without it items are compared themselves", "items": {
                    "type": "object", "additionalProperties": false, "required": ["field"],
                    "properties": {
                        "field": path_schema("The field"),
                        "order": {"type": "string", "enum": ["ascending", "descending"], "default": "ascending"},
                        "nulls": {"type": "string", "enum": ["first", "last"], "default": "last", "description": "Where items without the field go"},
                    },
                }},
                "order": {"type": "string", "enum": ["ascending", "descending"], "default": "ascending", "description": "Of items without fields"},
                "ignore_case": {"type": "boolean", "default": false},
                "natural": {"type": "boolean", "default": false, "description": "Read numbers within texts: a2 before a10"},
            },
        }),
        list_port("The items in order"),
        json!({"items": "{{ inputs.people }}", "by": [{"field": "age", "order": "descending"}, {"field": "name"}]}),
    )
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Ascending,
    Descending,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Nulls {
    First,
    #[default]
    Last,
}

#[derive(Deserialize)]
struct By {
    field: Path,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    nulls: Nulls,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    #[serde(default)]
    by: Vec<By>,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    natural: bool,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut items = call.items(config.items)?;
    let collation = Collation {
        ignore_case: config.ignore_case,
        natural: config.natural,
    };
    let directed = |order: Order, found: Ordering| match order {
        Order::Ascending => found,
        Order::Descending => found.reverse(),
    };
    items.sort_by(|a, b| {
        if config.by.is_empty() {
            return directed(config.order, compare(a, b, collation));
        }
        let orders = config.by.iter().map(|by| {
            let value = |item| by.field.get(item).filter(|value: &&Value| !value.is_null());
            match (value(a), value(b)) {
                (Some(a), Some(b)) => directed(by.order, compare(a, b, collation)),
                (None, None) => Ordering::Equal,
                (a, _) => match (a.is_none(), by.nulls) {
                    (true, Nulls::First) | (false, Nulls::Last) => Ordering::Less,
                    _ => Ordering::Greater,
                },
            }
        });
        orders.fold(Ordering::Equal, Ordering::then)
    });
    Ok(done(Value::Array(items)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    #[test]
    fn items_sort_by_several_fields_and_stay_stable() {
        let items = json!([{"n": 1, "s": "b"}, {"n": 2, "s": "a"}, {"n": 1, "s": "a"}, {"s": "z"}, {"n": 1, "s": "a", "second": true}]);
        let by = json!({"by": [{"field": "n", "order": "descending"}, {"field": "s"}]});
        check(
            "sort",
            by,
            items,
            json!([{"n": 2, "s": "a"}, {"n": 1, "s": "a"}, {"n": 1, "s": "a", "second": true}, {"n": 1, "s": "b"}, {"s": "z"}]),
        );
        check(
            "sort",
            json!({"by": [{"field": "n", "nulls": "first"}]}),
            json!([{"n": 1}, {"n": null}]),
            json!([{"n": null}, {"n": 1}]),
        );
    }

    #[test]
    fn plain_values_sort_by_themselves() {
        check(
            "sort",
            json!({"order": "descending"}),
            json!([2, 10, 1.5]),
            json!([10, 2, 1.5]),
        );
        check(
            "sort",
            json!({"natural": true, "ignore_case": true}),
            json!(["B2", "a10", "A9"]),
            json!(["A9", "a10", "B2"]),
        );
    }
}
