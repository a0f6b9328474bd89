//! What a request carries and what its answer is read as: JSON, text, forms, files, bytes.

use data_encoding::{BASE64, HEXLOWER};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::HttpReply;
use crate::log::NodeError;

/// What a body is sent as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SendAs {
    /// An object or list as JSON, a string as text.
    #[default]
    Auto,
    /// JSON, strings too.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` (RFC 7578).
    Multipart,
    /// Bytes, given in base64.
    Base64,
    /// A file of the organisation.
    File,
}

/// What an answer is read as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReadAs {
    /// JSON where the answer says so, else text.
    #[default]
    Auto,
    /// Text.
    Text,
    /// JSON, whatever the answer says.
    Json,
    /// Bytes, in base64.
    Base64,
    /// A reference to the file that it is stored as.
    File,
}

/// The schemas of `body`, `body_type` and `response_type`.
pub(super) fn schemas() -> Map<String, Value> {
    let schemas = json!({
        "body": {"x-nodeai-batch-names": super::batch::NAMES,
            "description": "Without body_type an object or list is sent as JSON, a string as text. For form and multipart an object: a list repeats its name; in multipart {\"filename\", \"content_type\"?, \"base64\" | \"text\"} is a file, and so is a reference {\"$file\"}. For file the id of a file, or a reference to it"},
        "body_type": {"type": "string", "enum": ["auto", "json", "form", "multipart", "base64", "file"], "default": "auto"},
        "response_type": {"type": "string", "enum": ["auto", "text", "json", "base64", "file"], "default": "auto",
            "description": "auto: JSON where the answer says so, else text; base64 for bytes; file stores it and gives a reference {\"$file\"}"},
    });
    match schemas {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}

/// The bytes of a body; its type goes into the header fields unless it is there.
///
/// # Errors
/// When the value cannot be sent so.
pub(super) fn write(
    value: Option<Value>,
    kind: SendAs,
    headers: &mut HeaderMap,
) -> Result<Vec<u8>, NodeError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(Vec::new());
    };
    let (bytes, kind) = match (kind, value) {
        (SendAs::Auto, Value::String(text)) => {
            (text.into_bytes(), "text/plain; charset=utf-8".to_owned())
        }
        (SendAs::Auto | SendAs::Json, value) => (
            value.to_string().into_bytes(),
            "application/json".to_owned(),
        ),
        (SendAs::Form, Value::Object(fields)) => (
            form(&fields).into_bytes(),
            "application/x-www-form-urlencoded".to_owned(),
        ),
        (SendAs::Multipart, Value::Object(fields)) => {
            let parts = Parts::read(&fields)?;
            let boundary = parts.boundary();
            // Another one would not be found in the body.
            headers.remove(CONTENT_TYPE);
            let kind = format!("multipart/form-data; boundary={boundary}");
            (parts.write(&boundary), kind)
        }
        (SendAs::Base64, Value::String(text)) => (
            bytes(&text, "/body")?,
            "application/octet-stream".to_owned(),
        ),
        (SendAs::Form | SendAs::Multipart, _) => {
            return Err(NodeError::config("/body: a form is an object".to_owned()));
        }
        (SendAs::File, _) => {
            return Err(NodeError::config("/body: expected a file".to_owned()));
        }
        (SendAs::Base64, _) => {
            return Err(NodeError::config("/body: expected base64".to_owned()));
        }
    };
    let kind = HeaderValue::from_str(&kind)
        .map_err(|_| NodeError::config("/body: has no type that can be sent".to_owned()))?;
    headers.entry(CONTENT_TYPE).or_insert(kind);
    Ok(bytes)
}

fn bytes(text: &str, at: &str) -> Result<Vec<u8>, NodeError> {
    let bytes = BASE64.decode(text.trim().as_bytes());
    bytes.map_err(|_| NodeError::config(format!("{at}: is no base64")))
}

fn form(fields: &Map<String, Value>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs(fields) {
        form.append_pair(name, &plain(value));
    }
    form.finish()
}

/// Each field; lists repeat the name, null is left out.
fn pairs(fields: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let pairs = fields.iter().flat_map(|(name, value)| {
        let values = match value {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        values.iter().map(move |value| (name.as_str(), value))
    });
    pairs.filter(|(_, value)| !value.is_null())
}

fn plain(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string())
}

/// The parts of a form with files.
struct Parts(Vec<Part>);

struct Part {
    name: String,
    file: Option<(String, String)>,
    bytes: Vec<u8>,
}

impl Parts {
    fn read(fields: &Map<String, Value>) -> Result<Self, NodeError> {
        let parts = pairs(fields).map(|(name, value)| {
            let file = value.get("filename").and_then(Value::as_str);
            let Some(filename) = file else {
                return Ok(Part {
                    name: name.to_owned(),
                    file: None,
                    bytes: plain(value).into_bytes(),
                });
            };
            let text = |member: &str| value.get(member).and_then(Value::as_str);
            let at = format!("/body/{name}");
            let bytes = match (text("base64"), text("text")) {
                (Some(encoded), None) => bytes(encoded, &at)?,
                (None, Some(text)) => text.as_bytes().to_vec(),
                _ => {
                    let message = format!("{at}: a file has either base64 or text");
                    return Err(NodeError::config(message));
                }
            };
            let kind = text("content_type").unwrap_or("application/octet-stream");
            if kind.contains(['\r', '\n']) {
                let message = format!("{at}/content_type: cannot be sent");
                return Err(NodeError::config(message));
            }
            Ok(Part {
                name: name.to_owned(),
                file: Some((filename.to_owned(), kind.to_owned())),
                bytes,
            })
        });
        parts.collect::<Result<_, _>>().map(Self)
    }

    /// Of the parts themselves: the same body has the same boundary when it is sent again, and none of them can have it
    /// inside.
    fn boundary(&self) -> String {
        let mut hash = Sha256::new();
        for part in &self.0 {
            hash.update(part.name.as_bytes());
            hash.update([0]);
            hash.update(&part.bytes);
        }
        let digest = hash.finalize();
        format!("nodeai-{}", HEXLOWER.encode(&digest[..16]))
    }

    fn write(&self, boundary: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &self.0 {
            let mut head = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
                quoted(&part.name)
            );
            if let Some((name, kind)) = &part.file {
                head.push_str(&format!(
                    "; filename=\"{}\"\r\nContent-Type: {kind}",
                    quoted(name)
                ));
            }
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(&part.bytes);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        out
    }
}

/// As browsers write names (<https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data>).
fn quoted(name: &str) -> String {
    name.replace('\r', "%0D")
        .replace('\n', "%0A")
        .replace('"', "%22")
}

/// The body of an answer.
///
/// # Errors
/// When it was to be JSON and is none.
pub(super) fn read(reply: &HttpReply, kind: ReadAs) -> Result<Value, NodeError> {
    let text = || Value::from(String::from_utf8_lossy(&reply.body).into_owned());
    Ok(match kind {
        ReadAs::Auto => {
            let parsed = says_json(reply).then(|| serde_json::from_slice(&reply.body).ok());
            parsed.flatten().unwrap_or_else(text)
        }
        ReadAs::Text => text(),
        ReadAs::Json | ReadAs::File => serde_json::from_slice(&reply.body).map_err(|error| {
            let message = format!("the answer was to be JSON and is none: {error}");
            NodeError::new("malformed_response", message, false)
        })?,
        ReadAs::Base64 => BASE64.encode(&reply.body).into(),
    })
}

fn says_json(reply: &HttpReply) -> bool {
    let kind = reply.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: Value, kind: SendAs) -> Result<(String, String), String> {
        let mut headers = HeaderMap::new();
        let bytes = write(Some(value), kind, &mut headers).map_err(|error| error.message)?;
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok((text, kind.unwrap_or_default().to_owned()))
    }

    #[test]
    fn a_body_says_what_it_is() {
        let (text, kind) = sent(json!({"a": 1}), SendAs::Auto).unwrap();
        assert_eq!(
            (text.as_str(), kind.as_str()),
            ("{\"a\":1}", "application/json")
        );
        let (text, kind) = sent(json!("x"), SendAs::Auto).unwrap();
        assert_eq!(
            (text.as_str(), kind.as_str()),
            ("x", "text/plain; charset=utf-8")
        );
        assert_eq!(sent(json!("x"), SendAs::Json).unwrap().0, "\"x\"");
        let fields = json!({"q": "a b&c", "n": [1, 2], "none": null});
        let (text, kind) = sent(fields, SendAs::Form).unwrap();
        assert_eq!(text, "q=a+b%26c&n=1&n=2");
        assert_eq!(kind, "application/x-www-form-urlencoded");
        assert_eq!(sent(json!("aGk="), SendAs::Base64).unwrap().0, "hi");
        assert!(sent(json!("?"), SendAs::Base64).is_err());
        assert!(sent(json!([1]), SendAs::Form).is_err());
    }

    #[test]
    fn files_go_in_parts_and_a_name_cannot_add_one() {
        let fields = json!({
            "note": "hello",
            "file": {"filename": "a\"\r\nb.txt", "content_type": "text/plain", "base64": "aGk="},
        });
        let (text, kind) = sent(fields.clone(), SendAs::Multipart).unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a%22%0D%0Ab.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nhi\r\n--{boundary}--\r\n"
        );
        assert_eq!(text, expected);
        assert_eq!(
            sent(fields, SendAs::Multipart).unwrap().0,
            text,
            "the same again"
        );
        let split = json!({"file": {"filename": "a", "content_type": "a\r\nb: c", "text": ""}});
        assert!(sent(split, SendAs::Multipart).is_err());
        let both = json!({"file": {"filename": "a", "base64": "", "text": ""}});
        assert!(sent(both, SendAs::Multipart).is_err());
    }

    #[test]
    fn an_answer_is_read_as_asked() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        let reply = HttpReply {
            status: 200,
            headers,
            body: b"{\"a\": 1}".to_vec(),
        };
        let read_as = |kind| read(&reply, kind).unwrap();
        assert_eq!(read_as(ReadAs::Auto), "{\"a\": 1}");
        assert_eq!(read_as(ReadAs::Json), json!({"a": 1}));
        assert_eq!(read_as(ReadAs::Base64), "eyJhIjogMX0=");
        let no_json = HttpReply {
            body: b"<p>".to_vec(),
            ..reply
        };
        assert!(read(&no_json, ReadAs::Json).is_err());
    }
}
