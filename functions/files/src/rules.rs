//! Rules of names, folders, tags and metadata.

use nodeai_files::name::{self, Refused};
use nodeai_http::input::escape;
use nodeai_http::{Checker, FieldError, Problem};
use serde_json::{Map, Value};

/// Most bytes of metadata.
const METADATA: usize = 16 << 10;

/// What a caller says of a file, checked.
#[derive(Debug, Default)]
pub struct About {
    /// Name.
    pub name: String,
    /// Folder.
    pub folder: Option<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Metadata.
    pub metadata: Map<String, Value>,
}

impl About {
    /// Checks what was said in query parameters, form fields or metadata of tus, under those names. Errors: 400.
    pub fn said(
        name: Option<&str>,
        folder: Option<&str>,
        tags: Option<&str>,
        metadata: Option<&str>,
    ) -> Result<Self, Problem> {
        let mut c = Checker::default();
        let tags: Vec<String> = tags
            .unwrap_or_default()
            .split(',')
            .map(|tag| tag.trim().to_owned())
            .filter(|tag| !tag.is_empty())
            .collect();
        check_tags(&mut c, &tags);
        c.finish()
            .map_err(|problem| at_parameter(problem, "tags"))?;
        let metadata = match metadata {
            None => Map::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| parameter("metadata", "format", "must be a JSON object"))?,
        };
        let mut c = Checker::default();
        check_metadata(&mut c, &metadata);
        c.finish()
            .map_err(|problem| at_parameter(problem, "metadata"))?;
        let refused =
            |name: &'static str| move |why: Refused| parameter(name, "invalid", &why.to_string());
        Ok(Self {
            name: name::of_upload(name.unwrap_or("unnamed")).map_err(refused("name"))?,
            folder: name::folder(folder.unwrap_or_default()).map_err(refused("folder"))?,
            tags,
            metadata,
        })
    }
}

/// A wrong parameter, as a problem.
pub fn parameter(name: &str, code: &str, detail: &str) -> Problem {
    Problem::fields(vec![FieldError::parameter(name, code, detail)])
}

fn at_parameter(problem: Problem, name: &str) -> Problem {
    let errors = problem.errors.into_iter();
    let moved = errors.map(|error| FieldError::parameter(name, &error.code, error.detail));
    Problem::fields(moved.collect())
}

/// At most 50 tags of at most 100 characters, each once.
pub fn check_tags(c: &mut Checker, tags: &[String]) {
    c.require(tags.len() <= 50, "/tags", "length", "at most 50 tags");
    for (i, tag) in tags.iter().enumerate() {
        let pointer = format!("/tags/{i}");
        c.length(tag, 1, 100, &pointer);
        let plain = !tag.contains(char::is_control) && !tag.contains(',');
        let detail = "must have no control characters and no comma";
        c.require(plain, &pointer, "invalid", detail);
        let once = !tags[..i].contains(tag);
        c.require(once, &pointer, "duplicate", "is there twice");
    }
}

/// At most 16 KiB, of keys of at most 100 characters.
pub fn check_metadata(c: &mut Checker, metadata: &Map<String, Value>) {
    let bytes = serde_json::to_vec(metadata).map_or(usize::MAX, |text| text.len());
    let detail = "must have at most 16384 bytes as JSON";
    c.require(bytes <= METADATA, "/metadata", "length", detail);
    for key in metadata.keys() {
        let fits = (1..=100).contains(&key.chars().count()) && !key.contains('\0');
        let pointer = format!("/metadata/{}", escape(key));
        c.require(fits, &pointer, "length", "keys have 1 to 100 characters");
    }
    let zero = serde_json::to_string(metadata).is_ok_and(|text| text.contains("\\u0000"));
    c.require(
        !zero,
        "/metadata",
        "invalid",
        "must not have the character U+0000",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_cleaned() {
        let about = About::said(
            Some("C:\\x\\a.txt"),
            Some("/in/2026/"),
            Some("a, b ,,"),
            Some("{\"k\":1}"),
        )
        .unwrap();
        assert_eq!(about.name, "a.txt");
        assert_eq!(about.folder.as_deref(), Some("in/2026"));
        assert_eq!(about.tags, ["a", "b"]);
        assert_eq!(about.metadata["k"], 1);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let named = |problem: Problem| problem.errors[0].parameter.clone().unwrap();
        let said = |name, folder, tags, metadata| {
            named(About::said(name, folder, tags, metadata).unwrap_err())
        };
        assert_eq!(said(Some("a\u{202e}b"), None, None, None), "name");
        assert_eq!(said(None, Some("a/../b"), None, None), "folder");
        assert_eq!(said(None, None, Some("a,a"), None), "tags");
        assert_eq!(said(None, None, None, Some("[]")), "metadata");
        assert_eq!(
            said(None, None, None, Some("{\"a\":\"\\u0000\"}")),
            "metadata"
        );
    }
}
