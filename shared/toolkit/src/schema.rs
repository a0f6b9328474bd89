//! JSON Schema: whether a schema is one that is worked with, and what of a value does not fit it.
//!
//! Schemas are 2020-12 unless they say otherwise (`$schema`, drafts 4 to 2019-09). Nothing is fetched: a `$ref` that leads
//! out of the schema makes it invalid. Patterns are matched in linear time.

use crate::{Fault, token};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

/// Largest schema, bytes of JSON.
pub const LARGEST: usize = 262_144;
/// Deepest nesting, and most subschemas: values and objects in it.
const DEEPEST: usize = 64;
const MOST_PARTS: usize = 20_000;
/// Most faults that are named.
pub const MOST_FAULTS: usize = 50;
/// Largest automaton of a pattern, bytes.
const LARGEST_PATTERN: usize = 1 << 20;
/// Longest text that a message repeats, in characters.
const LONGEST_DETAIL: usize = 300;

/// A schema that values can be checked against.
pub struct Schema(Validator);

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// It is too large or too deep, no valid schema, or refers to something outside of itself.
    pub fn read(schema: &Value) -> Result<Self, Fault> {
        bounded(schema)?;
        let built = jsonschema::options()
            .with_pattern_options(PatternOptions::regex().size_limit(LARGEST_PATTERN))
            .with_draft(draft(schema)?)
            .build(schema);
        built.map(Self).map_err(|error| {
            let pointer = error.instance_path().as_str().to_owned();
            Fault::new(pointer, "schema", short(error.to_string()))
        })
    }

    /// Checks a value.
    ///
    /// # Errors
    /// What does not fit, at most 50 faults; pointers begin with `at`.
    pub fn check(&self, value: &Value, at: &str) -> Result<(), Vec<Fault>> {
        let errors = self.0.iter_errors(value).take(MOST_FAULTS);
        let faults: Vec<Fault> = errors.map(|error| fault(&error, at)).collect();
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults),
        }
    }
}

fn draft(schema: &Value) -> Result<Draft, Fault> {
    let Some(said) = schema.get("$schema").and_then(Value::as_str) else {
        return Ok(Draft::Draft202012);
    };
    let known = [
        ("json-schema.org/draft/2020-12/schema", Draft::Draft202012),
        ("json-schema.org/draft/2019-09/schema", Draft::Draft201909),
        ("json-schema.org/draft-07/schema", Draft::Draft7),
        ("json-schema.org/draft-06/schema", Draft::Draft6),
        ("json-schema.org/draft-04/schema", Draft::Draft4),
    ];
    let name = said
        .trim_end_matches('#')
        .split_once("://")
        .map_or(said, |(_, rest)| rest);
    let found = known.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, draft)| draft).ok_or_else(|| {
        let detail =
            "is no dialect that is known here: 2020-12, 2019-09, draft-07, draft-06, draft-04";
        Fault::new("/$schema", "dialect", detail)
    })
}

/// Bounds what a schema of a stranger's may cost.
fn bounded(schema: &Value) -> Result<(), Fault> {
    if !schema.is_object() && !schema.is_boolean() {
        return Err(Fault::new("", "type", "a schema is an object or a boolean"));
    }
    if schema.to_string().len() > LARGEST {
        return Err(Fault::new("", "length", "a schema has at most 256 KiB"));
    }
    let mut parts = 0;
    let mut waiting = vec![(schema, 0)];
    while let Some((value, depth)) = waiting.pop() {
        parts += 1;
        if depth > DEEPEST || parts > MOST_PARTS {
            let detail = "a schema has at most 64 levels and 20,000 parts";
            return Err(Fault::new("", "length", detail));
        }
        match value {
            Value::Object(map) => waiting.extend(map.values().map(|inner| (inner, depth + 1))),
            Value::Array(list) => waiting.extend(list.iter().map(|inner| (inner, depth + 1))),
            _ => {}
        }
    }
    Ok(())
}

fn fault(error: &jsonschema::ValidationError<'_>, at: &str) -> Fault {
    let path = error.instance_path().as_str();
    let (below, code) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            (format!("/{}", token(name)), "required")
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let name = unexpected.first().map(|name| format!("/{}", token(name)));
            (name.unwrap_or_default(), "unknown_field")
        }
        ValidationErrorKind::Type { .. } => (String::new(), "type"),
        ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. } => {
            (String::new(), "not_allowed")
        }
        ValidationErrorKind::Format { .. } | ValidationErrorKind::Pattern { .. } => {
            (String::new(), "format")
        }
        ValidationErrorKind::MinLength { .. }
        | ValidationErrorKind::MaxLength { .. }
        | ValidationErrorKind::MinItems { .. }
        | ValidationErrorKind::MaxItems { .. } => (String::new(), "length"),
        ValidationErrorKind::Minimum { .. }
        | ValidationErrorKind::Maximum { .. }
        | ValidationErrorKind::ExclusiveMinimum { .. }
        | ValidationErrorKind::ExclusiveMaximum { .. } => (String::new(), "out_of_range"),
        _ => (String::new(), "schema"),
    };
    Fault::new(format!("{at}{path}{below}"), code, short(error.to_string()))
}

/// A message that does not repeat all of a large value.
fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST_DETAIL) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(schema: Value, value: Value) -> Vec<(String, String)> {
        let schema = Schema::read(&schema).unwrap();
        let faults = schema.check(&value, "/arguments").err().unwrap_or_default();
        faults.into_iter().map(|f| (f.pointer, f.code)).collect()
    }

    fn one(pointer: &str, code: &str) -> Vec<(String, String)> {
        vec![(pointer.to_owned(), code.to_owned())]
    }

    #[test]
    fn each_fault_has_its_pointer() {
        let schema = json!({"type": "object", "required": ["a/b"], "additionalProperties": false,
            "properties": {"a/b": {"type": "string", "maxLength": 2}, "n": {"minimum": 3},
                "list": {"items": {"$ref": "#/$defs/x"}}}, "$defs": {"x": {"enum": [1]}}});
        let check = |value| faults(schema.clone(), value);
        assert_eq!(check(json!({"a/b": "x"})), []);
        assert_eq!(check(json!({})), one("/arguments/a~1b", "required"));
        assert_eq!(check(json!({"a/b": 1})), one("/arguments/a~1b", "type"));
        assert_eq!(
            check(json!({"a/b": "xyz"})),
            one("/arguments/a~1b", "length")
        );
        assert_eq!(
            check(json!({"a/b": "", "z": 1})),
            one("/arguments/z", "unknown_field")
        );
        assert_eq!(
            check(json!({"a/b": "", "n": 1})),
            one("/arguments/n", "out_of_range")
        );
        assert_eq!(
            check(json!({"a/b": "", "list": [1, 2]})),
            one("/arguments/list/1", "not_allowed")
        );
    }

    #[test]
    fn a_schema_that_leads_elsewhere_is_refused() {
        for reference in [
            "https://evil.example/schema.json",
            "file:///etc/passwd",
            "other.json",
            "#/$defs/none",
        ] {
            let schema = json!({"properties": {"a": {"$ref": reference}}});
            assert!(Schema::read(&schema).is_err(), "{reference}");
        }
    }

    #[test]
    fn recursion_ends_with_the_value() {
        let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object",
            "properties": {"next": {"$ref": "#/$defs/node"}}}}});
        assert_eq!(faults(tree.clone(), json!({"next": {"next": {}}})), []);
        assert_eq!(
            faults(tree, json!({"next": {"next": 1}})),
            one("/arguments/next/next", "type")
        );
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        let mut deep = json!(true);
        for _ in 0..100 {
            deep = json!({"not": deep});
        }
        assert!(Schema::read(&deep).is_err());
        assert!(Schema::read(&json!({"description": "x".repeat(300_000)})).is_err());
        assert!(Schema::read(&json!({"pattern": "(a{1000}){1000}{1000}"})).is_err());
        assert!(Schema::read(&json!({"type": "nothing"})).is_err());
        assert!(Schema::read(&json!({"$schema": "https://x.example/dialect"})).is_err());
        assert!(
            Schema::read(&json!({"$schema": "http://json-schema.org/draft-07/schema#"})).is_ok()
        );
        // Backtracking would take for ever.
        let evil = Schema::read(&json!({"pattern": "^(a+)+$"})).unwrap();
        assert!(
            evil.check(&json!(format!("{}!", "a".repeat(5_000))), "")
                .is_err()
        );
    }

    #[test]
    fn messages_stay_short() {
        let schema = Schema::read(&json!({"type": "object"})).unwrap();
        let faults = schema.check(&json!("x".repeat(10_000)), "").unwrap_err();
        assert!(faults[0].detail.chars().count() <= 301);
    }
}
