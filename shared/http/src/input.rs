//! Reading input: JSON bodies and query strings become checked values, or a 400 that names each wrong field.

use crate::problem::{FieldError, Problem};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

/// Rules that a type's own fields must keep beyond their types.
pub trait Check {
    /// Reports each broken rule to `checker`.
    fn check(&self, checker: &mut Checker);
}

/// Collects wrong fields.
#[derive(Debug, Default)]
pub struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    /// Reports the field at `pointer` unless `holds`.
    pub fn require(&mut self, holds: bool, pointer: &str, code: &str, detail: &str) {
        if !holds {
            self.report(FieldError::body(pointer, code, detail));
        }
    }

    /// Reports a wrong field.
    pub fn report(&mut self, error: FieldError) {
        self.errors.push(error);
    }

    /// Reports text whose length in characters is outside `min..=max`.
    pub fn length(&mut self, text: &str, min: usize, max: usize, pointer: &str) {
        let n = text.chars().count();
        let holds = n >= min && n <= max && !(min > 0 && text.trim().is_empty());
        let detail = format!("must have {min} to {max} characters");
        self.require(holds, pointer, "length", &detail);
    }

    /// Takes over what another checker has found below `at`.
    pub fn nest(&mut self, at: &str, inner: Checker) {
        let Err(problem) = inner.finish() else { return };
        for mut error in problem.errors {
            error.pointer = error.pointer.map(|pointer| format!("{at}{pointer}"));
            self.report(error);
        }
    }

    /// Ok when nothing was reported. Errors: 400 with all wrong fields.
    pub fn finish(self) -> Result<(), Problem> {
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(Problem::fields(self.errors)),
        }
    }
}

/// For fields of a PATCH that may be null: `None` when the field is absent, `Some(None)` when it is null. Use it as
/// `#[serde(default, deserialize_with = "present")]`.
///
/// # Errors
/// What reading `T` says.
pub fn present<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

/// Reads a JSON body into `T` and applies its rules.
///
/// Errors: 415 for another media type, 400 with JSON pointers otherwise.
pub fn read_json<T: DeserializeOwned + Check>(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Problem> {
    require_json_media_type(headers)?;
    let value: T = parse_json(body)?;
    let mut checker = Checker::default();
    value.check(&mut checker);
    checker.finish()?;
    Ok(value)
}

fn require_json_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let media = value.to_str().unwrap_or("").split(';').next().unwrap_or("");
    let media = media.trim().to_ascii_lowercase();
    match media == "application/json" || media.ends_with("+json") {
        true => Ok(()),
        false => Err(Problem::unsupported_media_type(
            "send the body as application/json",
        )),
    }
}

/// Reads JSON into `T`. Errors: 400 with the pointer of the first wrong field.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer_of(error.path());
        json_problem(error.into_inner(), pointer)
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::malformed_json(error.to_string()))?;
    Ok(value)
}

fn json_problem(error: serde_json::Error, pointer: String) -> Problem {
    match error.classify() {
        Category::Data => Problem::fields(vec![data_error(&error.to_string(), pointer)]),
        Category::Eof if error.column() == 0 => Problem::malformed_json("the body is empty"),
        _ => Problem::malformed_json(error.to_string()),
    }
}

/// serde names missing and unknown fields only in its message; the pointer should lead to the field itself.
fn data_error(message: &str, pointer: String) -> FieldError {
    let detail = message.rsplit_once(" at line ").map_or(message, |(m, _)| m);
    let named = |prefix: &str| {
        let name = detail.strip_prefix(prefix)?.split('`').next()?;
        let escaped = escape(name);
        let suffix = format!("/{escaped}");
        Some(match pointer.ends_with(&suffix) {
            true => pointer.clone(),
            false => pointer.clone() + &suffix,
        })
    };
    if let Some(pointer) = named("missing field `") {
        return FieldError::body(pointer, "required", "is required");
    }
    if let Some(pointer) = named("unknown field `") {
        return FieldError::body(pointer, "unknown_field", detail);
    }
    FieldError::body(pointer, "type", detail)
}

/// The tokens of a JSON pointer (RFC 6901, sections 3 and 4); none of the empty one, which names the whole document.
pub fn tokens(pointer: &str) -> Vec<String> {
    let tokens = pointer.split('/').skip(1);
    tokens
        .map(|token| token.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// RFC 6901 escaping of one reference token.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn pointer_of(path: &Path) -> String {
    path.iter().fold(String::new(), |mut pointer, segment| {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
        pointer
    })
}

/// Reads a query string into `T`, which should deny unknown fields.
///
/// Errors: 400 that names the wrong parameter.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let deserializer = serde_html_form::Deserializer::from_bytes(query.as_bytes());
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let pointer = pointer_of(error.path());
        let field = data_error(&error.into_inner().to_string(), pointer);
        let name = field.pointer.unwrap_or_default();
        let name = name.trim_start_matches('/').to_owned();
        Problem::fields(vec![FieldError::parameter(name, &field.code, field.detail)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: String,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[serde(rename = "a/b")]
        size: u8,
    }

    impl Check for Body {
        fn check(&self, c: &mut Checker) {
            c.length(&self.name, 1, 3, "/name");
            let sum: u32 = self.items.iter().map(|i| u32::from(i.size)).sum();
            c.require(sum < 100, "/items", "too_many", "too many");
        }
    }

    fn errors(body: &str) -> Vec<(String, String)> {
        let problem = read_json::<Body>(&HeaderMap::new(), body.as_bytes()).unwrap_err();
        assert_eq!(problem.status, 400);
        let pair = |e: FieldError| (e.pointer.unwrap(), e.code);
        problem.errors.into_iter().map(pair).collect()
    }

    fn one(pointer: &str, code: &str) -> Vec<(String, String)> {
        vec![(pointer.to_owned(), code.to_owned())]
    }

    #[test]
    fn each_wrong_field_has_its_pointer() {
        assert_eq!(errors("{}"), one("/name", "required"));
        assert_eq!(errors(r#"{"name":1}"#), one("/name", "type"));
        assert_eq!(errors(r#"{"name":"a","x":1}"#), one("/x", "unknown_field"));
        assert_eq!(
            errors(r#"{"name":"a","items":[{"a/b":1},{"a/b":999}]}"#),
            one("/items/1/a~1b", "type")
        );
        assert_eq!(
            errors(r#"{"name":"a","items":[{}]}"#),
            one("/items/0/a~1b", "required")
        );
    }

    #[test]
    fn all_broken_rules_are_listed_at_once() {
        let body = r#"{"name":"","items":[{"a/b":99},{"a/b":99}]}"#;
        assert_eq!(errors(body).len(), 2);
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        let deep = "[".repeat(100_000);
        for bad in [b"{".as_slice(), b"", b"{} x", b"\xff\xfe", deep.as_bytes()] {
            let problem = parse_json::<serde_json::Value>(bad).unwrap_err();
            assert_eq!(problem.slug(), "malformed-json");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Query {
        limit: Option<u32>,
    }

    #[test]
    fn unknown_query_parameters_are_named() {
        assert_eq!(parse_query::<Query>("limit=5").unwrap().limit, Some(5));
        let problem = parse_query::<Query>("limt=5").unwrap_err();
        assert_eq!(problem.errors[0].parameter.as_deref(), Some("limt"));
        let problem = parse_query::<Query>("limit=x").unwrap_err();
        assert_eq!(problem.errors[0].parameter.as_deref(), Some("limit"));
    }
}
