//! `aggregate`: many items become one object of lists.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::path::Path;
use super::{done, entry, given, items_schema, path_schema};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

pub(super) fn spec() -> Spec {
    entry(
        "aggregate",
        "Aggregate",
        "Gathers many items into one object: all of them under one name, or the values of some fields as lists.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "items": items_schema(),
                "into": {"type": "string", "minLength": 1, "maxLength": 128, "default": "items", "description": "The name of the list of all items"},
                "fields": {"type": "array", "minItems": 1, "maxItems": 100, "description": "Instead of all items, the values of these fields", "items": {
                    "type": "object", "additionalProperties": false, "required": ["field"],
                    "properties": {
                        "field": path_schema("The field"),
                        "as": {"type": "string", "minLength": 1, "maxLength": 128, "description": "The name of its list; the path unless given"},
                        "keep_missing": {"type": "boolean", "default": false, "description": "Put null where an item has no such field"},
                        "flatten": {"type": "boolean", "default": false, "description": "Put the elements of lists into the list"},
                    },
                }},
            },
        }),
        port("output", "The object", json!({"type": "object"})),
        json!({"items": "{{ inputs.people }}", "fields": [{"field": "email", "as": "emails"}]}),
    )
}

#[derive(Deserialize)]
struct Field {
    field: Path,
    #[serde(rename = "as")]
    name: Option<String>,
    #[serde(default)]
    keep_missing: bool,
    #[serde(default)]
    flatten: bool,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    into: Option<String>,
    #[serde(default)]
    fields: Vec<Field>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let items = call.items(config.items)?;
    if config.fields.is_empty() {
        let name = config.into.as_deref().unwrap_or("items");
        return Ok(done(json!({name: items})));
    }
    let mut out = Map::new();
    for field in &config.fields {
        let mut values = Vec::new();
        for item in &items {
            match field.field.get(item).filter(|value| !value.is_null()) {
                Some(Value::Array(inner)) if field.flatten => values.extend(inner.iter().cloned()),
                Some(value) => values.push(value.clone()),
                None if field.keep_missing => values.push(Value::Null),
                None => {}
            }
        }
        super::bounded(&values)?;
        let name = field.name.as_deref().unwrap_or(field.field.as_str());
        out.insert(name.to_owned(), Value::Array(values));
    }
    Ok(done(Value::Object(out)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;

    #[test]
    fn items_or_fields_become_lists() {
        let items = || json!([{"a": 1, "t": ["x"]}, {"t": ["y", "z"]}, {"a": 3}]);
        check(
            "aggregate",
            json!({"into": "all"}),
            json!([1, 2]),
            json!({"all": [1, 2]}),
        );
        let fields = json!({"fields": [{"field": "a"}, {"field": "a", "as": "b", "keep_missing": true}, {"field": "t", "flatten": true}]});
        check(
            "aggregate",
            fields,
            items(),
            json!({"a": [1, 3], "b": [1, null, 3], "t": ["x", "y", "z"]}),
        );
    }
}
