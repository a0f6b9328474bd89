//! Values of JSON in header fields: `Mcp-Name`, and `Mcp-Param-…` for parameters that a tool marks with `x-mcp-header`
//! (Streamable HTTP, revision 2026-07-28).

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Names of the transport's header fields.
pub mod name {
    /// The revision.
    pub const VERSION: &str = "mcp-protocol-version";
    /// The method.
    pub const METHOD: &str = "mcp-method";
    /// The tool, prompt or resource.
    pub const NAME: &str = "mcp-name";
    /// The session, until 2025-11-25.
    pub const SESSION: &str = "mcp-session-id";
    /// Before the names of parameters.
    pub const PARAM: &str = "mcp-param-";
}

const BEGIN: &str = "=?base64?";
const END: &str = "?=";
/// Whole numbers that JavaScript can count with.
const SAFE: i64 = (1 << 53) - 1;
/// How deep properties may lie, and how many there may be.
const DEEPEST: usize = 32;

/// A value as a header field: as it is where that is safe, else as Base64 between marks.
pub fn encode(text: &str) -> String {
    let plain = |b: u8| (0x20..=0x7e).contains(&b) || b == b'\t';
    let trimmed = text.trim_matches([' ', '\t']).len() == text.len();
    let marked = text.starts_with(BEGIN) && text.ends_with(END);
    if text.bytes().all(plain) && trimmed && !marked && !text.is_empty() {
        return text.to_owned();
    }
    format!("{BEGIN}{}{END}", BASE64_STANDARD.encode(text))
}

/// The value of a header field; none where it is marked as Base64 and is not.
pub fn decode(field: &str) -> Option<String> {
    let inner = field
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END));
    match inner {
        None => Some(field.to_owned()),
        Some(inner) => String::from_utf8(BASE64_STANDARD.decode(inner).ok()?).ok(),
    }
}

/// What a request is about: `params.name` or `params.uri`, for methods that have it in a header field.
pub fn subject<'a>(method: &str, params: &'a Map<String, Value>) -> Option<Option<&'a str>> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return None,
    };
    Some(params.get(member).and_then(Value::as_str))
}

/// A parameter that goes into a header field of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Its field, in lower case: `mcp-param-region`.
    pub field: String,
    /// The way to it through `properties`.
    pub path: Vec<String>,
    /// Its type: `string`, `integer` or `boolean`.
    pub kind: String,
}

impl Marked {
    fn find<'a>(&self, arguments: &'a Value) -> Option<&'a Value> {
        let found = self
            .path
            .iter()
            .try_fold(arguments, |at, name| at.get(name));
        found.filter(|value| !value.is_null())
    }

    /// The header field's value for these arguments; none where there is no such argument.
    pub fn field_value(&self, arguments: &Value) -> Option<String> {
        let text = match self.find(arguments)? {
            Value::String(text) => text.clone(),
            Value::Bool(yes) => yes.to_string(),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => whole.to_string(),
                None => number.to_string(),
            },
            _ => return None,
        };
        Some(encode(&text))
    }

    /// Whether a header field says what the arguments say.
    ///
    /// # Errors
    /// How they differ.
    pub fn agrees(&self, field: Option<&str>, arguments: &Value) -> Result<(), String> {
        let name = &self.field;
        let Some(value) = self.find(arguments) else {
            return match field {
                None => Ok(()),
                Some(_) => Err(format!("{name} is there, its argument is not")),
            };
        };
        let field = field.ok_or_else(|| format!("{name} is missing"))?;
        let said = decode(field).ok_or_else(|| format!("{name} is not Base64"))?;
        let same = match value {
            Value::String(text) => *text == said,
            Value::Bool(yes) => yes.to_string() == said,
            Value::Number(number) => said.parse::<f64>().ok() == number.as_f64(),
            _ => false,
        };
        match same {
            true => Ok(()),
            false => Err(format!("{name} says {said:?}, the argument is {value}")),
        }
    }
}

/// The parameters of a tool that go into header fields.
///
/// # Errors
/// A mark that the protocol does not allow; clients leave such a tool out.
pub fn marked(schema: &Value) -> Result<Vec<Marked>, String> {
    let mut found = Vec::new();
    walk(schema, Some(&mut Vec::new()), 0, &mut found)?;
    let mut names = BTreeSet::new();
    match found.iter().find(|one| !names.insert(one.field.clone())) {
        Some(twice) => Err(format!("{} is there twice", twice.field)),
        None => Ok(found),
    }
}

/// Goes through a schema; `path` is none where a mark would not be reachable by properties alone.
fn walk(
    schema: &Value,
    path: Option<&mut Vec<String>>,
    depth: usize,
    found: &mut Vec<Marked>,
) -> Result<(), String> {
    if depth > DEEPEST {
        return Ok(());
    }
    match schema {
        Value::Object(map) => {
            let mut path = path;
            if let Some(mark) = map.get("x-mcp-header") {
                let path = path.as_deref().filter(|path| !path.is_empty());
                found.push(mark_of(mark, map, path)?);
            }
            for (key, inner) in map {
                match (key.as_str(), inner, path.as_deref_mut()) {
                    ("properties", Value::Object(properties), way) => {
                        walk_properties(properties, way, depth, found)?;
                    }
                    // Values, not schemas: whatever they look like, they mark nothing.
                    ("const" | "enum" | "default" | "examples" | "x-mcp-header", ..) => {}
                    (_, inner, _) => walk(inner, None, depth + 1, found)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| walk(item, None, depth + 1, found)),
        _ => Ok(()),
    }
}

fn walk_properties(
    properties: &Map<String, Value>,
    mut way: Option<&mut Vec<String>>,
    depth: usize,
    found: &mut Vec<Marked>,
) -> Result<(), String> {
    for (name, property) in properties {
        if let Some(path) = way.as_deref_mut() {
            path.push(name.clone());
            let walked = walk(property, Some(&mut *path), depth + 1, found);
            path.pop();
            walked?;
        } else {
            walk(property, None, depth + 1, found)?;
        }
    }
    Ok(())
}

fn mark_of(
    mark: &Value,
    schema: &Map<String, Value>,
    path: Option<&Vec<String>>,
) -> Result<Marked, String> {
    let name = mark.as_str().unwrap_or_default();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("x-mcp-header {mark} is no name of a header field"));
    }
    let path = path.ok_or_else(|| format!("x-mcp-header {name} is not on a plain property"))?;
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !matches!(kind, "string" | "integer" | "boolean") {
        return Err(format!(
            "x-mcp-header {name} is on something that is no text, whole number or boolean"
        ));
    }
    let out = |bound: &str| {
        let value = schema.get(bound).and_then(Value::as_i64);
        value.is_some_and(|value| value.abs() > SAFE)
    };
    if kind == "integer" && (out("minimum") || out("maximum")) {
        return Err(format!("x-mcp-header {name} is on a number beyond 2^53"));
    }
    Ok(Marked {
        field: format!("{}{}", self::name::PARAM, name.to_ascii_lowercase()),
        path: path.clone(),
        kind: kind.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_specifications_own_examples_encode_as_it_says() {
        for (plain, field) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encode(plain), field);
            assert_eq!(decode(field).as_deref(), Some(plain));
        }
        assert_eq!(decode("=?base64?%%?="), None);
    }

    #[test]
    fn marks_are_found_where_properties_lead() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}}}});
        let marks = marked(&schema).unwrap();
        let arguments = json!({"region": "é", "deep": {"n": 42}});
        let fields: Vec<_> = marks
            .iter()
            .map(|m| (m.field.as_str(), m.field_value(&arguments)))
            .collect();
        assert_eq!(
            fields,
            [
                ("mcp-param-region", Some("=?base64?w6k=?=".to_owned())),
                ("mcp-param-n", Some("42".to_owned()))
            ]
        );
        assert_eq!(marks[1].agrees(Some("42.0"), &arguments), Ok(()));
        assert!(marks[1].agrees(Some("43"), &arguments).is_err());
        assert!(marks[1].agrees(None, &arguments).is_err());
        assert!(marks[1].agrees(Some("1"), &json!({})).is_err());
        assert_eq!(marks[1].agrees(None, &json!({"deep": null})), Ok(()));
    }

    #[test]
    fn marks_elsewhere_make_a_tool_invalid() {
        let of = |property: Value| marked(&json!({"properties": {"a": property}}));
        let mark = |kind: &str, name: &str| json!({"type": kind, "x-mcp-header": name});
        assert!(of(mark("string", "A")).is_ok());
        for bad in [
            mark("number", "A"),
            mark("object", "A"),
            mark("string", ""),
            mark("string", "a b"),
            mark("string", "a\r\nb"),
            json!({"type": "string", "x-mcp-header": 1}),
            json!({"type": "array", "items": mark("string", "A")}),
            json!({"oneOf": [mark("string", "A")]}),
            json!({"anyOf": [{"properties": {"b": mark("string", "A")}}]}),
        ] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
        let twice = json!({"properties": {"a": mark("string", "X"), "b": mark("string", "x")}});
        assert!(marked(&twice).is_err());
        assert_eq!(of(json!({"const": {"x-mcp-header": "A"}})), Ok(Vec::new()));
    }
}
