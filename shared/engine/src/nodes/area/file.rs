//! References to files, which nodes pass on in place of their bytes: `{"$file": "<id>", "name", "content_type", "size_bytes", "sha256"}`.

use serde_json::{Value, json};

use crate::log::NodeError;

/// The member that makes an object a reference.
const MEMBER: &str = "$file";

/// A file, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Its id.
    pub id: String,
    /// Its name, where the reference says it.
    pub name: Option<String>,
    /// Its media type, where the reference says it.
    pub content_type: Option<String>,
}

/// JSON Schema of a field that takes a file.
pub(in crate::nodes) fn schema(description: &str) -> Value {
    json!({"description": format!("{description}: its id, or a reference {{\"$file\": id}} as nodes give it"), "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 200},
        {"type": "object", "required": [MEMBER], "properties": {MEMBER: {"type": "string", "minLength": 1, "maxLength": 200}}},
    ]})
}

/// Whether a value is a reference.
pub(in crate::nodes) fn is_reference(value: &Value) -> bool {
    value.get(MEMBER).is_some_and(Value::is_string)
}

impl FileRef {
    /// Reads a reference or an id.
    ///
    /// # Errors
    /// When it is neither.
    pub(in crate::nodes) fn read(value: &Value, at: &str) -> Result<Self, NodeError> {
        let text = |member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
        let id = value.as_str().map(str::to_owned).or_else(|| text(MEMBER));
        let plain = |id: &String| uuid_like(id);
        let Some(id) = id.filter(plain) else {
            let message = format!("{at}: is no file: give its id, or a reference that a node gave");
            return Err(NodeError::config(message));
        };
        Ok(Self {
            id,
            name: text("name"),
            content_type: text("content_type"),
        })
    }
}

fn uuid_like(id: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    id.len() == 36
        && id
            .bytes()
            .enumerate()
            .all(|(at, byte)| match dashes.contains(&at) {
                true => byte == b'-',
                false => byte.is_ascii_hexdigit(),
            })
}

/// The reference to a file as its area shows it.
pub(super) fn shown(file: &Value) -> Value {
    let mut reference = json!({MEMBER: file["id"]});
    for member in ["name", "content_type", "size_bytes", "sha256"] {
        reference[member] = file[member].clone();
    }
    reference
}
