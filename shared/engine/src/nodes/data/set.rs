//! `set`: sets, renames and removes fields of every item.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::path::Path;
use super::{done, entry, given, items_schema, path_schema, to_items};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};
use crate::template::{Prepared, Templates};

pub(super) fn spec() -> Spec {
    entry(
        "set",
        "Edit fields",
        "Sets, renames and removes fields of an object, or of every object of a list. Values are templates that see item and index.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "items": items_schema(),
                "keep": {"description": "Which of the item's own fields stay: all, none, or a list of paths",
                    "anyOf": [{"type": "string", "enum": ["all", "none"]}, {"type": "array", "maxItems": 200, "items": path_schema("A field")}]},
                "rename": {"type": "object", "additionalProperties": path_schema("The new name"), "x-nodeai": "literal",
                    "description": "Old path to new path"},
                "remove": {"type": "array", "maxItems": 200, "items": path_schema("A field")},
                "fields": {"type": "object", "x-nodeai-names": ["item", "index"],
                    "description": "Path to value, such as {\"address.city\": \"{{ item.city | title }}\"}"},
            },
        }),
        port(
            "output",
            "The list, or the one object if one came in",
            json!({"type": ["array", "object"]}),
        ),
        json!({"items": "{{ inputs.people }}", "fields": {"name": "{{ item.first }} {{ item.last }}", "adult": "{{ item.age >= 18 }}"}, "remove": ["first", "last"]}),
    )
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Keep {
    Word(String),
    Paths(Vec<Path>),
}

#[derive(Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "given")]
    items: Option<Value>,
    keep: Option<Keep>,
    #[serde(default)]
    rename: Map<String, Value>,
    #[serde(default)]
    remove: Vec<Path>,
    #[serde(default)]
    fields: Map<String, Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let value = call.value_or_incoming("items", config.items)?;
    let is_list = value.is_array();
    let items = to_items("items", value)?;
    super::columns::all_objects("items", &items)?;
    let templates = Templates::per_item();
    let fields = config.fields.iter().map(|(name, value)| {
        let path =
            Path::parse(name).map_err(|error| NodeError::config(format!("/fields: {error}")))?;
        Ok((path, Shape::of(value, &templates)))
    });
    let fields: Vec<(Path, Shape<'_>)> = fields.collect::<Result<_, NodeError>>()?;
    let renames = config.rename.iter().map(|(from, to)| {
        let read = |text: &str| {
            Path::parse(text).map_err(|error| NodeError::config(format!("/rename: {error}")))
        };
        Ok((read(from)?, read(to.as_str().unwrap_or_default())?))
    });
    let renames: Vec<(Path, Path)> = renames.collect::<Result<_, NodeError>>()?;
    let mut scope = call.scope.for_items();
    let mut out = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        let wrong = |error: String| NodeError::config(format!("/items/{at}: {error}"));
        let mut new = kept(&item, config.keep.as_ref()).map_err(wrong)?;
        for (from, to) in &renames {
            if let Some(value) = from.remove(&mut new) {
                to.set(&mut new, value).map_err(wrong)?;
            }
        }
        for path in &config.remove {
            path.remove(&mut new);
        }
        scope.set_item(item, at);
        for (path, shape) in &fields {
            let value = shape.render(&scope).map_err(|error| {
                NodeError::template(&format!("fields/{}", path.as_str()), &error).of_item(at)
            })?;
            path.set(&mut new, value).map_err(wrong)?;
        }
        out.push(new);
    }
    Ok(done(match is_list {
        true => Value::Array(out),
        false => out.pop().unwrap_or_default(),
    }))
}

fn kept(item: &Value, keep: Option<&Keep>) -> Result<Value, String> {
    match keep {
        Some(Keep::Word(word)) if word == "none" => Ok(json!({})),
        None | Some(Keep::Word(_)) => Ok(item.clone()),
        Some(Keep::Paths(paths)) => {
            let mut new = json!({});
            for path in paths {
                if let Some(value) = path.get(item) {
                    path.set(&mut new, value.clone())?;
                }
            }
            Ok(new)
        }
    }
}

/// A value whose strings are templates, each compiled at most once.
enum Shape<'t> {
    Template(Prepared<'t>),
    List(Vec<Shape<'t>>),
    Object(Vec<(&'t str, Shape<'t>)>),
    Plain(&'t Value),
}

impl<'t> Shape<'t> {
    fn of(value: &'t Value, templates: &'t Templates) -> Self {
        match value {
            Value::String(text) if crate::template::is_template(text) => {
                Self::Template(templates.prepare(text, false))
            }
            Value::Array(items) => {
                Self::List(items.iter().map(|item| Self::of(item, templates)).collect())
            }
            Value::Object(map) => Self::Object(
                map.iter()
                    .map(|(name, value)| (name.as_str(), Self::of(value, templates)))
                    .collect(),
            ),
            plain => Self::Plain(plain),
        }
    }

    fn render(
        &self,
        scope: &crate::scope::Scope<'_>,
    ) -> Result<Value, crate::template::TemplateError> {
        Ok(match self {
            Self::Template(template) => template.render(scope)?,
            Self::List(items) => items
                .iter()
                .map(|item| item.render(scope))
                .collect::<Result<_, _>>()?,
            Self::Object(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(name, value)| Ok(((*name).to_owned(), value.render(scope)?)));
                Value::Object(pairs.collect::<Result<_, _>>()?)
            }
            Self::Plain(value) => (*value).clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    #[test]
    fn fields_are_set_renamed_and_removed() {
        let people = json!([{"first": "Ada", "age": 36, "x": 1}, {"first": "Bob", "age": 7}]);
        let data = json!({
            "rename": {"first": "name.first"}, "remove": ["x"],
            "fields": {"adult": "{{ item.age >= 18 }}", "n": "{{ index }}", "t": "#{{ index }}: {{ item.first }}", "deep": {"l": ["{{ item.age }}", 1]}},
        });
        check(
            "set",
            data,
            people,
            json!([
                {"age": 36, "name": {"first": "Ada"}, "adult": true, "n": 0, "t": "#0: Ada", "deep": {"l": [36, 1]}},
                {"age": 7, "name": {"first": "Bob"}, "adult": false, "n": 1, "t": "#1: Bob", "deep": {"l": [7, 1]}},
            ]),
        );
    }

    #[test]
    fn one_object_stays_one_object() {
        check(
            "set",
            json!({"keep": "none", "fields": {"a": "{{ item.b }}"}}),
            json!({"b": 2}),
            json!({"a": 2}),
        );
        check(
            "set",
            json!({"keep": ["b.c"]}),
            json!({"b": {"c": 1, "d": 2}}),
            json!({"b": {"c": 1}}),
        );
    }

    #[test]
    fn faults_name_field_item_and_column() {
        refuse(
            "set",
            json!({"fields": {"a": "{{ item.nope }}"}}),
            json!([{"nope": 1}, {}]),
            "/fields/a: item 1: `item.nope` is undefined (line 1, column 4)",
        );
        refuse(
            "set",
            json!({"fields": {"a.b": 1}}),
            json!([{"a": 3}]),
            "/items/0: a.b cannot be set",
        );
        refuse(
            "set",
            json!({}),
            json!([1]),
            "/items/0: expected an object, found a number",
        );
        refuse(
            "set",
            json!({}),
            json!("x"),
            "/items: expected a list, found a string",
        );
    }
}
