//! Files of the organisation in a request's body, and an answer that becomes one.

use data_encoding::BASE64;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::body::{SendAs, write};
use crate::log::NodeError;
use crate::nodes::FileRef;
use crate::nodes::area::is_reference;

/// Most files of one request.
const MOST_FILES: usize = 20;

/// A body that waits for bytes of files.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attached {
    value: Value,
    kind: SendAs,
    files: Vec<FileRef>,
}

/// A file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Attached {
    /// The body, if it has files in it.
    ///
    /// # Errors
    /// When what should be a file is none, or there are too many.
    pub(super) fn of(value: Option<&Value>, kind: SendAs) -> Result<Option<Self>, NodeError> {
        let files = match (kind, value) {
            (SendAs::File, Some(value)) => vec![FileRef::read(value, "/body")?],
            (SendAs::Multipart, Some(Value::Object(fields))) => {
                let values = fields
                    .iter()
                    .flat_map(|(name, value)| each(value).iter().map(move |value| (name, value)));
                let files = values.filter(|(_, value)| is_reference(value));
                let read = |(name, value)| FileRef::read(value, &format!("/body/{name}"));
                files.map(read).collect::<Result<Vec<_>, _>>()?
            }
            _ => Vec::new(),
        };
        if files.len() > MOST_FILES {
            let message = format!("/body: has more than {MOST_FILES} files");
            return Err(NodeError::config(message));
        }
        let some = value.filter(|_| !files.is_empty());
        Ok(some.cloned().map(|value| Self { value, kind, files }))
    }

    pub(super) fn files(&self) -> &[FileRef] {
        &self.files
    }

    /// With references in place of bytes.
    pub(super) fn shown(&self) -> Value {
        self.value.clone()
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub(super) fn write(
        &self,
        contents: &[FileContent],
        headers: &mut HeaderMap,
    ) -> Result<Vec<u8>, NodeError> {
        let missing = || NodeError::new("file_missing", "a file of the body is not there", false);
        if self.kind == SendAs::File {
            let content = contents.first().ok_or_else(missing)?;
            let kind = HeaderValue::from_str(&content.content_type).ok();
            let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
            headers.entry(CONTENT_TYPE).or_insert(kind);
            return Ok(content.bytes.clone());
        }
        let mut contents = contents.iter().zip(&self.files);
        let mut value = self.value.clone();
        let fields = value
            .as_object_mut()
            .into_iter()
            .flat_map(|map| map.values_mut());
        for field in fields {
            for part in each_mut(field).iter_mut().filter(|part| is_reference(part)) {
                let (content, file) = contents.next().ok_or_else(missing)?;
                *part = part_of(part, content, file);
            }
        }
        write(Some(value), self.kind, headers)
    }
}

fn each(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_ref(other),
    }
}

fn each_mut(value: &mut Value) -> &mut [Value] {
    match value {
        Value::Array(items) => items,
        other => std::slice::from_mut(other),
    }
}

/// A part as a form takes it; what the reference itself says of name and type comes first.
fn part_of(reference: &Value, content: &FileContent, file: &FileRef) -> Value {
    let said = reference["filename"].as_str().or(file.name.as_deref());
    let kind = file
        .content_type
        .as_deref()
        .unwrap_or(&content.content_type);
    json!({
        "filename": said.unwrap_or("file"),
        "content_type": kind,
        "base64": BASE64.encode(&content.bytes),
    })
}

/// What an answer is stored as: the last part of the URL's path, and its media type.
pub(super) fn named(url: &url::Url, headers: &HeaderMap) -> (String, Option<String>) {
    let last = url.path_segments().and_then(|mut parts| parts.next_back());
    let last = last.map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy());
    let plain = |name: &str| -> String {
        let kept = name
            .chars()
            .filter(|c| !c.is_control() && !"/\\".contains(*c));
        kept.take(200).collect()
    };
    let name = last
        .map(|name| plain(&name))
        .filter(|name| !name.trim_matches('.').is_empty());
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    (
        name.unwrap_or_else(|| "download".to_owned()),
        kind.map(str::to_owned),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "018f2b6e-0000-7000-8000-000000000001";

    fn content(text: &str) -> FileContent {
        FileContent {
            content_type: "text/plain".to_owned(),
            bytes: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_file_is_the_body_and_brings_its_type() {
        let body = json!(ID);
        let attached = Attached::of(Some(&body), SendAs::File).unwrap().unwrap();
        let mut headers = HeaderMap::new();
        let bytes = attached.write(&[content("hello")], &mut headers).unwrap();
        assert_eq!(bytes, b"hello");
        assert_eq!(headers[CONTENT_TYPE], "text/plain");
        assert!(Attached::of(Some(&json!("../etc")), SendAs::File).is_err());
        assert!(
            Attached::of(Some(&json!({"a": 1})), SendAs::Json)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn files_are_parts_of_a_form() {
        let body = json!({"note": "n", "files": [
            {"$file": ID, "name": "a.txt"},
            {"$file": ID, "filename": "b.bin", "content_type": "application/x-b"},
        ]});
        let attached = Attached::of(Some(&body), SendAs::Multipart)
            .unwrap()
            .unwrap();
        assert_eq!(attached.files().len(), 2);
        let mut headers = HeaderMap::new();
        let bytes = attached.write(&[content("one"), content("two")], &mut headers);
        let text = String::from_utf8(bytes.unwrap()).unwrap();
        for part in [
            "filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\none",
            "filename=\"b.bin\"\r\nContent-Type: application/x-b\r\n\r\ntwo",
            "name=\"note\"\r\n\r\nn",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(attached.write(&[content("one")], &mut headers).is_err());
    }

    #[test]
    fn an_answer_is_named_by_its_url() {
        let name = |url: &str| named(&url::Url::parse(url).unwrap(), &HeaderMap::new()).0;
        assert_eq!(
            name("https://example.com/a/r%C3%A9sum%C3%A9.pdf?x=1"),
            "résumé.pdf"
        );
        assert_eq!(name("https://example.com/"), "download");
        assert_eq!(name("https://example.com/a%2F..%2Fb"), "a..b");
    }
}
