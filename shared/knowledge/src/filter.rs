//! Conditions on a document's metadata, as JSON, rendered as a jsonpath predicate.
//!
//! `{"lang": "en"}` asks for equality, `{"year": {"gte": 2020, "lt": 2024}}` for a range; all members of an object must hold.
//! Operators are `eq`, `ne`, `in`, `gt`, `gte`, `lt`, `lte`, `exists`; `and`, `or` take lists of conditions, `not` one. A field is a
//! name or a way of names with dots between (`author.name`). Of a list it is enough that one member fits. What is not there
//! fits `ne` and `not`, and nothing else.

use crate::Fault;
use serde_json::{Map, Value};

/// Deepest nesting of conditions, and most of them.
const DEEPEST: usize = 8;
const MOST: usize = 200;

/// The predicate. Errors: what is wrong, by pointers below `at`.
pub fn jsonpath(filter: &Value, at: &str) -> Result<String, Vec<Fault>> {
    let mut renderer = Renderer {
        faults: Vec::new(),
        conditions: 0,
    };
    let path = renderer.condition(filter, at, 0);
    match renderer.faults.is_empty() {
        true => Ok(path),
        false => Err(renderer.faults),
    }
}

struct Renderer {
    faults: Vec<Fault>,
    conditions: usize,
}

impl Renderer {
    fn fault(&mut self, pointer: &str, code: &'static str, detail: &str) -> String {
        self.faults.push(Fault::new(pointer, code, detail));
        String::new()
    }

    fn condition(&mut self, filter: &Value, at: &str, depth: usize) -> String {
        let Some(members) = filter.as_object() else {
            return self.fault(at, "type", "a condition is an object");
        };
        if members.is_empty() || depth > DEEPEST {
            return self.fault(at, "length", "at least one condition, at most 8 deep");
        }
        let parts: Vec<String> = members
            .iter()
            .map(|(name, wanted)| self.member(name, wanted, &below(at, name), depth))
            .collect();
        format!("({})", parts.join(" && "))
    }

    fn member(&mut self, name: &str, wanted: &Value, at: &str, depth: usize) -> String {
        self.conditions += 1;
        if self.conditions > MOST {
            return match self.faults.iter().any(|fault| fault.code == "too_many") {
                true => String::new(),
                false => self.fault(at, "too_many", "at most 200 conditions"),
            };
        }
        match name {
            "and" | "or" => {
                let Some(list) = wanted.as_array().filter(|list| !list.is_empty()) else {
                    return self.fault(at, "type", "a list of conditions");
                };
                let parts = list.iter().enumerate();
                let parts: Vec<String> = parts
                    .map(|(i, one)| self.condition(one, &format!("{at}/{i}"), depth + 1))
                    .collect();
                let word = if name == "and" { " && " } else { " || " };
                format!("({})", parts.join(word))
            }
            "not" => format!("!{}", self.condition(wanted, at, depth + 1)),
            field => self.field(field, wanted, at),
        }
    }

    fn field(&mut self, field: &str, wanted: &Value, at: &str) -> String {
        let names: Vec<&str> = field.split('.').collect();
        if field.len() > 200 || names.iter().any(|name| name.is_empty()) {
            return self.fault(at, "format", "a field's name, with dots between its parts");
        }
        let quoted: Vec<String> = names
            .iter()
            .map(|name| literal(&Value::from(*name)))
            .collect();
        let way = format!("$.{}", quoted.join("."));
        match wanted {
            Value::Object(operators) => self.operators(&way, operators, at),
            Value::Array(_) => self.fault(at, "type", "a list is asked for by `in`"),
            value => format!("({way} == {})", literal(value)),
        }
    }

    fn operators(&mut self, way: &str, operators: &Map<String, Value>, at: &str) -> String {
        if operators.is_empty() {
            return self.fault(at, "length", "at least one operator");
        }
        let mut parts = Vec::new();
        for (name, value) in operators {
            let at = below(at, name);
            let scalar = !value.is_array() && !value.is_object();
            let compared = value.is_number() || value.is_string();
            let part = match (name.as_str(), value) {
                ("eq", _) if scalar => format!("({way} == {})", literal(value)),
                ("ne", _) if scalar => format!("!({way} == {})", literal(value)),
                ("gt", _) if compared => format!("({way} > {})", literal(value)),
                ("gte", _) if compared => format!("({way} >= {})", literal(value)),
                ("lt", _) if compared => format!("({way} < {})", literal(value)),
                ("lte", _) if compared => format!("({way} <= {})", literal(value)),
                ("exists", Value::Bool(true)) => format!("exists({way})"),
                ("exists", Value::Bool(false)) => format!("!exists({way})"),
                ("in", Value::Array(list)) => self.any_of(way, list, &at),
                ("eq" | "ne" | "gt" | "gte" | "lt" | "lte" | "exists" | "in", _) => {
                    self.fault(&at, "type", "the operator does not take this")
                }
                _ => self.fault(
                    &at,
                    "unsupported",
                    "operators are eq, ne, in, gt, gte, lt, lte, exists",
                ),
            };
            parts.push(part);
        }
        format!("({})", parts.join(" && "))
    }

    fn any_of(&mut self, way: &str, list: &[Value], at: &str) -> String {
        let plain = |value: &Value| !value.is_array() && !value.is_object();
        if !(1..=1_000).contains(&list.len()) || !list.iter().all(plain) {
            return self.fault(at, "length", "1 to 1000 values");
        }
        let parts: Vec<String> = list
            .iter()
            .map(|value| format!("{way} == {}", literal(value)))
            .collect();
        format!("({})", parts.join(" || "))
    }
}

fn below(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// jsonpath writes strings, numbers, booleans and null as JSON does; U+0000 is in no stored text.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => Value::from(text.replace('\0', "\u{fffd}")).to_string(),
        // A leading minus is an operator there.
        Value::Number(number) => format!("({number})"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_become_one_predicate() {
        let cases = [
            (json!({"lang": "en"}), r#"(($."lang" == "en"))"#),
            (
                json!({"a.b": {"gte": 1, "lt": -2.5}}),
                r#"((($."a"."b" >= (1)) && ($."a"."b" < (-2.5))))"#,
            ),
            (
                json!({"tag": {"in": ["x\"", null]}}),
                r#"((($."tag" == "x\"" || $."tag" == null)))"#,
            ),
            (
                json!({"or": [{"a": true}, {"not": {"b": {"exists": true}}}]}),
                r#"(((($."a" == true)) || (!((exists($."b"))))))"#,
            ),
        ];
        for (filter, path) in cases {
            assert_eq!(jsonpath(&filter, "/filter").as_deref(), Ok(path));
        }
    }

    #[test]
    fn what_is_wrong_has_its_pointer() {
        let filter = json!({"a": {"near": 1}, "b": [1], "or": [], "c/d": {"gt": true}, "": 1});
        let faults = jsonpath(&filter, "/filter").unwrap_err();
        let pointers: Vec<&str> = faults.iter().map(|f| f.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/filter/a/near",
                "/filter/b",
                "/filter/or",
                "/filter/c~1d/gt",
                "/filter/"
            ]
        );
        assert!(jsonpath(&json!([]), "/filter").is_err());
    }
}
