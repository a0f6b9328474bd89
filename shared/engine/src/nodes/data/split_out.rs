//! `split_out`: a list within an item becomes items of its own.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::path::Path;
use super::{done, entry, given, items_schema, list_port, path_schema};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec};

pub(super) fn spec() -> Spec {
    entry(
        "split_out",
        "Split out",
        "Makes one item of each element of a list (or of each value of an object) within the items, with the item's other fields if wanted.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["field"],
            "properties": {
                "items": items_schema(),
                "field": path_schema("The field with the list"),
                "as": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Put each element under this name; otherwise objects are items themselves and other elements go under the last name of the path"},
                "include": {"description": "Fields of the item that go with each element: none, all, or a list of paths",
                    "anyOf": [{"type": "string", "enum": ["none", "all"]}, {"type": "array", "maxItems": 100, "items": path_schema("A field")}]},
                "keep_empty": {"type": "boolean", "default": false, "description": "Keep an item without elements as one"},
            },
        }),
        list_port("One item per element"),
        json!({"items": "{{ inputs.orders }}", "field": "lines", "include": ["id"]}),
    )
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Include {
    Word(String),
    Paths(Vec<Path>),
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    field: Path,
    #[serde(rename = "as")]
    name: Option<String>,
    include: Option<Include>,
    #[serde(default)]
    keep_empty: bool,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let items = call.items(config.items)?;
    let mut out = Vec::new();
    for (at, mut item) in items.into_iter().enumerate() {
        let elements = match config.field.remove(&mut item) {
            Some(Value::Array(elements)) => elements,
            Some(Value::Object(map)) => map.into_iter().map(|(_, value)| value).collect(),
            None | Some(Value::Null) => Vec::new(),
            Some(other) => vec![other],
        };
        let wrong = |error: String| NodeError::config(format!("/items/{at}: {error}"));
        let with = included(&item, config.include.as_ref()).map_err(wrong)?;
        if elements.is_empty() && config.keep_empty {
            out.push(Value::Object(with.clone()));
        }
        for element in elements {
            let mut new = with.clone();
            match (&config.name, element) {
                (None, Value::Object(map)) => new.extend(map),
                (name, element) => {
                    let last = config
                        .field
                        .as_str()
                        .rsplit(['.', '['])
                        .next()
                        .unwrap_or_default();
                    let name = name
                        .as_deref()
                        .unwrap_or(last)
                        .trim_end_matches(']')
                        .trim_matches('"');
                    new.insert(name.to_owned(), element);
                }
            }
            out.push(Value::Object(new));
        }
        super::bounded(&out)?;
    }
    Ok(done(Value::Array(out)))
}

fn included(item: &Value, include: Option<&Include>) -> Result<Map<String, Value>, String> {
    let mut with = json!({});
    match include {
        Some(Include::Word(word)) if word == "all" => with = item.clone(),
        Some(Include::Paths(paths)) => {
            for path in paths {
                if let Some(value) = path.get(item) {
                    path.set(&mut with, value.clone())?;
                }
            }
        }
        _ => {}
    }
    Ok(with.as_object().cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    #[test]
    fn elements_become_items() {
        let orders = || json!([{"id": 1, "lines": [{"sku": "a"}, {"sku": "b"}], "x": 1}, {"id": 2, "lines": []}, {"id": 3, "lines": [7]}]);
        check(
            "split_out",
            json!({"field": "lines"}),
            orders(),
            json!([{"sku": "a"}, {"sku": "b"}, {"lines": 7}]),
        );
        check(
            "split_out",
            json!({"field": "lines", "include": ["id"], "as": "line", "keep_empty": true}),
            orders(),
            json!([
                {"id": 1, "line": {"sku": "a"}}, {"id": 1, "line": {"sku": "b"}}, {"id": 2}, {"id": 3, "line": 7},
            ]),
        );
        check(
            "split_out",
            json!({"field": "a.b", "include": "all"}),
            json!([{"a": {"b": [1]}, "c": 2}]),
            json!([{"a": {}, "c": 2, "b": 1}]),
        );
    }

    #[test]
    fn the_result_is_bounded() {
        let many: Vec<Value> = (0..300).map(|_| json!({"l": vec![0; 200]})).collect();
        refuse(
            "split_out",
            json!({"field": "l"}),
            json!(many),
            "more than 50000 items",
        );
    }
}
