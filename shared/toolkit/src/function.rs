//! What a tool offers to be called.

use crate::openapi::Operation;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Longest name of a function, in characters; what providers of models take.
pub const LONGEST_NAME: usize = 64;

/// One function of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its name, unique within its tool.
    pub name: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, for models and people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema (2020-12 unless it says otherwise) of its arguments, an object.
    pub input_schema: Value,
    /// JSON Schema of its output; none where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Hints as the Model Context Protocol has them: `readOnlyHint`, `destructiveHint`, `idempotentHint`, `openWorldHint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
    /// How it is called, where it comes from an OpenAPI document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

impl Function {
    /// Whether it says of itself that it changes nothing.
    pub fn is_read_only(&self) -> bool {
        let hint = self.annotations.as_ref().map(|all| &all["readOnlyHint"]);
        hint == Some(&Value::Bool(true))
    }
}

/// Hints of a request by its method (RFC 9110, section 9.2).
pub fn annotations_of(method: &str) -> Value {
    let safe = matches!(method, "GET" | "HEAD" | "OPTIONS");
    let idempotent = safe || matches!(method, "PUT" | "DELETE");
    json!({"readOnlyHint": safe, "destructiveHint": !safe && method != "POST", "idempotentHint": idempotent,
        "openWorldHint": true})
}

/// Whether a text can be the name of a tool or a function: letters, digits, `_` and `-`, 1 to 64 of them.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain)
}

/// The nearest name to a text: other characters become one `_`.
pub fn name_of(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '-' => name.push(c),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    let mut name = name.trim_matches('_').to_owned();
    name.truncate(LONGEST_NAME);
    match name.is_empty() {
        true => "function".to_owned(),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name() {
        for (text, name) in [
            ("getUser", "getUser"),
            ("users/{id}.get", "users_id_get"),
            ("__a__b__", "a_b"),
            ("été", "t"),
            ("", "function"),
        ] {
            assert_eq!(name_of(text), name);
            assert!(is_name(&name_of(text)));
        }
        assert_eq!(name_of(&"x".repeat(100)).len(), 64);
        assert!(!is_name("a.b") && !is_name(""));
    }

    #[test]
    fn methods_say_what_they_may_do() {
        assert_eq!(annotations_of("GET")["readOnlyHint"], true);
        assert_eq!(annotations_of("DELETE")["destructiveHint"], true);
        assert_eq!(annotations_of("POST")["idempotentHint"], false);
    }
}
