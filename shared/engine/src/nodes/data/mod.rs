//! Nodes that turn values into values: lists of items, texts and formats. They are pure and bounded: by the number of items,
//! the size of texts, and the work of expressions, so that none can hang a run.

mod aggregate;
mod columns;
mod compare;
mod crypto;
mod csv;
mod date;
mod dedupe;
mod filter;
mod html;
mod join;
mod jq;
mod limit;
mod markdown;
mod order;
mod path;
mod pattern;
mod set;
mod sort;
mod split_out;
mod summarise;
mod text;
mod xml;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{Call, Effect, Kind, Outcome, Port, Spec, port};
use crate::log::NodeError;

/// Most items of a list that a node takes or makes.
const MOST_ITEMS: usize = 50_000;
/// Most bytes of a text that a node takes or makes.
const MOST_TEXT: usize = 8 * 1024 * 1024;

/// The kinds, by the order in which a palette shows them.
pub(super) fn kinds() -> Vec<Kind> {
    vec![
        Kind::new(set::spec(), set::decide),
        Kind::new(filter::spec(), filter::decide).checked(filter::check),
        Kind::new(sort::spec(), sort::decide),
        Kind::new(limit::spec(), limit::decide),
        Kind::new(dedupe::spec(), dedupe::decide),
        Kind::new(aggregate::spec(), aggregate::decide),
        Kind::new(summarise::spec(), summarise::decide),
        Kind::new(split_out::spec(), split_out::decide),
        Kind::new(join::spec(), join::decide),
        Kind::new(compare::spec(), compare::decide),
        Kind::new(jq::spec(), jq::decide).checked(jq::check),
        Kind::new(date::spec(), date::decide),
        Kind::new(text::spec(), text::decide).checked(text::check),
        Kind::new(crypto::spec(), crypto::decide),
        Kind::new(html::spec(), html::decide).checked(html::check),
        Kind::new(markdown::spec(), markdown::decide),
        Kind::new(xml::spec(), xml::decide),
        Kind::new(csv::spec(), csv::decide),
    ]
}

/// A catalogue entry of this family.
fn entry(
    kind: &str,
    title: &str,
    description: &str,
    config_schema: Value,
    output: Port,
    example: Value,
) -> Spec {
    Spec {
        kind: kind.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        category: "data".to_owned(),
        config_schema,
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![output],
        example,
    }
}

/// The output of a node that makes a list.
fn list_port(description: &str) -> Port {
    port("output", description, json!({"type": "array"}))
}

/// The schema of the field that names the items.
fn items_schema() -> Value {
    json!({"description": "A list, or one object as a list of one; without it what comes in over the edge"})
}

/// The schema of a path such as `address.city` or `tags[0]`.
fn path_schema(description: &str) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 512,
        "description": format!("{description}, such as name, address.city or tags[0]")})
}

/// Reads a field that is there, though it be null.
pub(super) fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

fn done(value: Value) -> Effect {
    Effect::Done(Outcome::new(value))
}

/// The name of a value's type, for people.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A list of items from a field's value.
fn to_items(field: &str, value: Value) -> Result<Vec<Value>, NodeError> {
    let items = match value {
        Value::Array(items) => items,
        one @ Value::Object(_) => vec![one],
        other => {
            let found = type_of(&other);
            return Err(NodeError::config(format!(
                "/{field}: expected a list, found {found}"
            )));
        }
    };
    if items.len() > MOST_ITEMS {
        let count = items.len();
        return Err(NodeError::config(format!(
            "/{field}: {count} items; at most {MOST_ITEMS} are allowed"
        )));
    }
    Ok(items)
}

/// Refuses a list that has grown too long.
fn bounded(items: &[Value]) -> Result<(), NodeError> {
    if items.len() > MOST_ITEMS {
        return Err(too_large(format!(
            "the result has more than {MOST_ITEMS} items"
        )));
    }
    Ok(())
}

fn too_large(message: String) -> NodeError {
    NodeError::new("too_large", message, false)
}

/// A text from a field's value; numbers and booleans are written out.
fn to_text(field: &str, value: Value) -> Result<String, NodeError> {
    let text = match value {
        Value::String(text) => text,
        scalar @ (Value::Number(_) | Value::Bool(_)) => scalar.to_string(),
        other => {
            let found = type_of(&other);
            return Err(NodeError::config(format!(
                "/{field}: expected a text, found {found}"
            )));
        }
    };
    if text.len() > MOST_TEXT {
        return Err(NodeError::config(format!(
            "/{field}: longer than {} MiB",
            MOST_TEXT >> 20
        )));
    }
    Ok(text)
}

/// A text that a node made, if it is not too long.
fn made(text: String) -> Result<String, NodeError> {
    if text.len() > MOST_TEXT {
        return Err(too_large(format!(
            "the result is longer than {} MiB",
            MOST_TEXT >> 20
        )));
    }
    Ok(text)
}

impl Call<'_> {
    fn items(&self, given: Option<Value>) -> Result<Vec<Value>, NodeError> {
        to_items("items", self.value_or_incoming("items", given)?)
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Runs one node on its own.

    use serde_json::{Map, Value};

    use crate::log::NodeError;
    use crate::nodes::{Effect, Incoming, decide, kind};
    use crate::scope::{Scope, View};
    use crate::template::Templates;

    /// What a node of this kind makes of a config and of a value that comes in.
    pub(crate) fn run(name: &str, data: Value, incoming: Value) -> Result<Value, NodeError> {
        let data: Map<String, Value> = data.as_object().expect("an object").clone();
        let inputs = Value::Null;
        let run = serde_json::json!({"id": "r", "started_at": "2024-03-10T06:30:00.000000Z"});
        let scope = Scope {
            inputs: Some(View::of(&incoming)),
            run: Some(View::of(&run)),
            ..Scope::default()
        };
        let edges = [Incoming {
            source: "before",
            value: &incoming,
        }];
        let kind = kind(name).expect("a kind");
        match decide(
            name,
            kind,
            &data,
            &Templates::new(),
            &scope,
            &inputs,
            &edges,
        )? {
            Effect::Done(outcome) => Ok(outcome.output),
            other => panic!("{other:?}"),
        }
    }

    /// What it makes, which must be something.
    pub(crate) fn check(name: &str, data: Value, incoming: Value, expected: Value) {
        let found = run(name, data.clone(), incoming);
        assert_eq!(found.as_ref(), Ok(&expected), "{data}");
    }

    /// The message of its refusal.
    pub(crate) fn refuse(name: &str, data: Value, incoming: Value, words: &str) {
        let error = run(name, data.clone(), incoming).expect_err(&data.to_string());
        assert!(error.message.contains(words), "{data}: {}", error.message);
    }
}
