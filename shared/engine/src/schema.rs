//! The part of JSON Schema (2020-12) that node configs and inputs use, checked here: `type`,
//! `enum`, `const`, `required`, `properties`, `additionalProperties`, `items`, `anyOf`,
//! `oneOf` (only of `required`), lengths and bounds. A full validator would weigh more than the rest of a component.
//! Callers bound the nesting of the value; schemas are ours or bounded likewise.

use serde_json::{Map, Value};

use crate::fault::{Fault, Faults, token};
use crate::template;

/// How strings that hold a template are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Templates {
    /// They may stand for a value of any type: it is not known before the run.
    Allowed,
    /// They are strings like any other.
    Plain,
}

pub(crate) struct Checker<'a> {
    pub(crate) templates: Templates,
    pub(crate) faults: &'a mut Faults,
}

impl Checker<'_> {
    /// Checks `value` against `schema` and reports faults below `at`.
    pub(crate) fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(schema) = schema.as_object() else {
            return;
        };
        let is_template = self.templates == Templates::Allowed
            && value.as_str().is_some_and(template::is_template);
        if is_template || self.faults.full() {
            return;
        }
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            return self.check_any(choices, value, at);
        }
        if !self.check_type(schema, value, at) {
            return;
        }
        self.check_choice(schema, value, at);
        match value {
            Value::Object(map) => self.check_object(schema, map, at),
            Value::Array(items) => self.check_array(schema, items, at),
            Value::String(text) => self.check_length(schema, text, at),
            Value::Number(_) => self.check_bounds(schema, value, at),
            _ => {}
        }
    }

    /// The faults shown are those of the choice whose type fits.
    fn check_any(&mut self, choices: &[Value], value: &Value, at: &str) {
        let mut closest = None;
        for choice in choices {
            let mut found = Faults::default();
            Checker {
                templates: self.templates,
                faults: &mut found,
            }
            .check(choice, value, at);
            if found.none() {
                return;
            }
            let fits = choice
                .get("type")
                .is_none_or(|wanted| has_type(wanted, value));
            if fits && closest.is_none() {
                closest = Some(found);
            }
        }
        match closest {
            Some(found) => {
                for fault in found.into_vec() {
                    self.faults.add(fault.pointer, &fault.code, fault.message);
                }
            }
            None => {
                let wanted: Vec<String> = choices
                    .iter()
                    .filter_map(|choice| choice.get("type"))
                    .map(type_words)
                    .collect();
                let message = format!("expected {}, found {}", wanted.join(" or "), type_of(value));
                self.faults.add(at, "wrong_type", message);
            }
        }
    }

    fn check_type(&mut self, schema: &Map<String, Value>, value: &Value, at: &str) -> bool {
        let Some(wanted) = schema.get("type") else {
            return true;
        };
        let fits = has_type(wanted, value);
        if !fits {
            let message = format!("expected {}, found {}", type_words(wanted), type_of(value));
            self.faults.add(at, "wrong_type", message);
        }
        fits
    }

    fn check_choice(&mut self, schema: &Map<String, Value>, value: &Value, at: &str) {
        if let Some(choices) = schema.get("enum").and_then(Value::as_array)
            && !choices.contains(value)
        {
            let list: Vec<String> = choices.iter().map(Value::to_string).collect();
            self.faults.add(
                at,
                "not_allowed",
                format!("expected one of {}", list.join(", ")),
            );
        }
        if let Some(only) = schema.get("const")
            && only != value
        {
            self.faults
                .add(at, "not_allowed", format!("expected {only}"));
        }
    }

    fn check_object(&mut self, schema: &Map<String, Value>, map: &Map<String, Value>, at: &str) {
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for name in required
            .filter_map(Value::as_str)
            .filter(|name| !map.contains_key(*name))
        {
            let message = format!("{name:?} is required");
            self.faults
                .add(format!("{at}/{}", token(name)), "required", message);
        }
        self.check_exactly_one(schema, map, at);
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (name, value) in map {
            let at = format!("{at}/{}", token(name));
            match (known.and_then(|known| known.get(name)), others) {
                (Some(schema), _) => self.check(schema, value, &at),
                (None, Some(Value::Bool(false))) => {
                    let names = known.map(|known| known.keys().map(String::as_str).collect());
                    let names: Vec<&str> = names.unwrap_or_default();
                    let message = format!("unknown field; known are {}", names.join(", "));
                    self.faults.add(at, "unknown_field", message);
                }
                (None, Some(schema)) => self.check(schema, value, &at),
                (None, None) => {}
            }
        }
    }

    /// `oneOf` with nothing but `required` in it: exactly one of these fields.
    fn check_exactly_one(
        &mut self,
        schema: &Map<String, Value>,
        map: &Map<String, Value>,
        at: &str,
    ) {
        let Some(choices) = schema.get("oneOf").and_then(Value::as_array) else {
            return;
        };
        let names: Vec<&str> = choices
            .iter()
            .filter_map(|c| c["required"][0].as_str())
            .collect();
        let given = names.iter().filter(|name| map.contains_key(**name)).count();
        if given != 1 {
            let code = if given == 0 {
                "required"
            } else {
                "not_allowed"
            };
            self.faults.add(
                at,
                code,
                format!("give exactly one of {}", names.join(", ")),
            );
        }
    }

    fn check_array(&mut self, schema: &Map<String, Value>, items: &[Value], at: &str) {
        let count = items.len() as u64;
        let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
        if limit("minItems").is_some_and(|least| count < least) {
            self.faults.add(at, "too_few", "the list has too few items");
        }
        if limit("maxItems").is_some_and(|most| count > most) {
            return self
                .faults
                .add(at, "too_many", "the list has too many items");
        }
        if let Some(schema) = schema.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.check(schema, item, &format!("{at}/{i}"));
            }
        }
    }

    fn check_length(&mut self, schema: &Map<String, Value>, text: &str, at: &str) {
        let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
        let length = text.chars().count() as u64;
        if let Some(least) = limit("minLength").filter(|least| length < *least) {
            let message = match least {
                1 => "must not be empty".to_owned(),
                _ => format!("must have at least {least} characters"),
            };
            self.faults.add(at, "too_short", message);
        }
        if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            self.faults.add(
                at,
                "too_long",
                format!("must have at most {most} characters"),
            );
        }
    }

    fn check_bounds(&mut self, schema: &Map<String, Value>, value: &Value, at: &str) {
        let Some(number) = value.as_f64() else { return };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            self.faults
                .add(at, "out_of_range", format!("must be at least {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            self.faults
                .add(at, "out_of_range", format!("must be at most {most}"));
        }
    }
}

/// Checks what goes with an answer against the form of the node that waits.
///
/// # Errors
/// Every fault, with a pointer below `/data`.
pub fn check_form(form: &Value, data: &Value) -> Result<(), Vec<Fault>> {
    let mut faults = Faults::default();
    Checker {
        templates: Templates::Plain,
        faults: &mut faults,
    }
    .check(form, data, "/data");
    faults.into_result(())
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::String(name) => is_type(name, value),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .any(|n| is_type(n, value)),
        _ => true,
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        "number" => value.is_number(),
        other => type_of(value) == other,
    }
}

fn type_words(wanted: &Value) -> String {
    match wanted {
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        other => other.as_str().unwrap_or("a value").to_owned(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: Value, value: Value, expected: &[&str]) {
        let mut faults = Faults::default();
        Checker {
            templates: Templates::Allowed,
            faults: &mut faults,
        }
        .check(&schema, &value, "");
        let found: Vec<String> = faults
            .into_vec()
            .into_iter()
            .map(|f| format!("{} {}", f.pointer, f.code))
            .collect();
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn objects_name_missing_unknown_and_mistyped_fields() {
        let schema = json!({
            "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {"a": {"type": "string"}, "n": {"type": "integer", "minimum": 1, "maximum": 3}}
        });
        check(schema.clone(), json!({"a": "x", "n": 3}), &[]);
        check(schema.clone(), json!({"n": 1}), &["/a required"]);
        check(
            schema.clone(),
            json!({"a": 1, "n": 4, "b/c": 0}),
            &["/a wrong_type", "/n out_of_range", "/b~1c unknown_field"],
        );
        check(
            schema.clone(),
            json!({"a": "x", "n": 1.5}),
            &["/n wrong_type"],
        );
        check(schema, json!({"a": "x", "n": "{{ inputs.n }}"}), &[]);
    }

    #[test]
    fn a_choice_reports_the_faults_of_the_one_that_fits() {
        let schema = json!({"anyOf": [
            {"type": "string", "enum": ["a"]},
            {"type": "object", "required": ["x"]}
        ]});
        check(schema.clone(), json!("a"), &[]);
        check(schema.clone(), json!("b"), &[" not_allowed"]);
        check(schema.clone(), json!({}), &["/x required"]);
        check(schema, json!(1), &[" wrong_type"]);
    }

    #[test]
    fn lists_are_checked_item_by_item() {
        let schema = json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "minLength": 1}});
        check(schema.clone(), json!([]), &[" too_few"]);
        check(
            schema.clone(),
            json!(["", 1]),
            &["/0 too_short", "/1 wrong_type"],
        );
        check(schema, json!([1, 2, 3]), &[" too_many"]);
    }
}
