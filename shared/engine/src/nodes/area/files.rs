//! `file_read`, `file_extract`, `file_write`: files of the organisation.

use data_encoding::BASE64;
use http::{HeaderMap, Method, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AreaCall, AreaReply, Call, Effect, FileRef, Finish, Spec, file, form, port, segment};
use crate::log::NodeError;

/// What a content is given as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum As {
    /// JSON and text as what they are, else base64.
    #[default]
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
    /// Bytes, in base64.
    Base64,
}

fn spec(kind: &str, title: &str, description: &str) -> Spec {
    Spec {
        kind: kind.into(),
        title: title.into(),
        description: description.into(),
        category: "platform".into(),
        config_schema: json!({"type": "object", "additionalProperties": false, "required": ["file"], "properties": {}}),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: Vec::new(),
        example: json!({"file": "{{ inputs.document }}"}),
    }
}

pub(super) fn read_spec() -> Spec {
    let mut spec = spec(
        "file_read",
        "Read a file",
        "Gives a file's content, of at most 10 MiB. What only passes a file on needs no content: the reference is enough.",
    );
    let properties = &mut spec.config_schema["properties"];
    properties["file"] = file::schema("The file");
    properties["as"] = json!({"type": "string", "enum": ["auto", "text", "json", "base64"], "default": "auto",
        "description": "auto: JSON and text as what they are, other content in base64"});
    spec.outputs = vec![port(
        "output",
        "The content",
        json!({"type": "object", "properties": {
            "content": {"description": "As `as` says"},
            "encoding": {"type": "string", "enum": ["text", "json", "base64"]},
            "content_type": {"type": "string"},
            "size_bytes": {"type": "integer"},
        }}),
    )];
    spec
}

pub(super) fn extract_spec() -> Spec {
    let mut spec = spec(
        "file_extract",
        "Text of a document",
        "Takes the text out of a PDF, DOCX, XLSX, CSV, HTML, Markdown or text file.",
    );
    spec.config_schema["properties"]["file"] = file::schema("The document");
    spec.outputs = vec![port(
        "output",
        "The text",
        json!({"type": "object", "properties": {
            "format": {"type": "string"},
            "text": {"type": "string"},
            "sections": {"type": "array", "items": {"type": "object"}, "description": "Pages, sheets, headings: kind, title, start, end"},
            "truncated": {"type": "boolean"},
        }}),
    )];
    spec
}

pub(super) fn write_spec() -> Spec {
    let mut spec = spec(
        "file_write",
        "Write a file",
        "Stores a file and gives a reference to it, which other nodes take.",
    );
    spec.config_schema["required"] = json!(["name"]);
    spec.config_schema["oneOf"] = json!([{"required": ["content"]}, {"required": ["base64"]}]);
    let properties = json!({
        "name": {"type": "string", "minLength": 1, "maxLength": 255},
        "content": {"description": "A string is stored as text, anything else as JSON"},
        "base64": {"type": "string", "description": "Bytes, instead of content"},
        "folder": {"type": "string", "maxLength": 1_000, "description": "Such as reports/2026"},
        "tags": {"type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1}},
        "metadata": {"type": "object"},
    });
    spec.config_schema["properties"] = properties;
    spec.outputs = vec![port(
        "output",
        "The file",
        json!({"type": "object", "properties": {
            "$file": {"type": "string", "description": "Its id"},
            "name": {"type": "string"},
            "content_type": {"type": "string"},
            "size_bytes": {"type": "integer"},
            "sha256": {"type": "string"},
        }}),
    )];
    spec.example =
        json!({"name": "report.json", "folder": "reports", "content": "{{ nodes.rows.output }}"});
    spec
}

#[derive(Deserialize)]
struct ReadConfig {
    file: Value,
    #[serde(default, rename = "as")]
    kind: As,
}

pub(super) fn read(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: ReadConfig = call.config()?;
    let file = FileRef::read(&config.file, "/file")?;
    let mut area = AreaCall::content_of(&file);
    area.finish = Finish::Content(config.kind);
    Ok(area.shown_as(json!({"file": file.id})).effect())
}

#[derive(Deserialize)]
struct ExtractConfig {
    file: Value,
}

pub(super) fn extract(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: ExtractConfig = call.config()?;
    let file = FileRef::read(&config.file, "/file")?;
    let path = format!("/api/v1/files/{}/text", segment(&file.id));
    let area = AreaCall::new("files", Method::GET, path, Finish::Whole);
    Ok(area.shown_as(json!({"file": file.id})).effect())
}

#[derive(Deserialize)]
struct WriteConfig {
    name: String,
    #[serde(default, deserialize_with = "crate::nodes::data::given")]
    content: Option<Value>,
    base64: Option<String>,
    folder: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    metadata: Option<Map<String, Value>>,
}

pub(super) fn write(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: WriteConfig = call.config()?;
    let (bytes, kind) = match (config.content, config.base64) {
        (Some(Value::String(text)), None) => (text.into_bytes(), "text/plain; charset=utf-8"),
        (Some(value), None) => (value.to_string().into_bytes(), "application/json"),
        (None, Some(text)) => {
            let bytes = BASE64.decode(text.trim().as_bytes());
            let bytes = bytes.map_err(|_| NodeError::config("/base64: is no base64".to_owned()))?;
            (bytes, "application/octet-stream")
        }
        _ => {
            let message = "a file has either content or base64".to_owned();
            return Err(NodeError::config(message));
        }
    };
    let tags = Some(config.tags.join(",")).filter(|tags| !tags.is_empty());
    let metadata = config.metadata.map(|data| Value::Object(data).to_string());
    let query = form(&[
        ("name", Some(&config.name)),
        ("folder", config.folder.as_deref()),
        ("tags", tags.as_deref()),
        ("metadata", metadata.as_deref()),
    ]);
    let size = bytes.len();
    let mut area = AreaCall::store(&config.name, Some(kind), bytes);
    area.path = format!("/api/v1/files?{query}");
    let shown = json!({"name": config.name, "folder": config.folder, "size_bytes": size});
    Ok(area.shown_as(shown).effect())
}

/// A content as it is wanted.
///
/// # Errors
/// When it is no JSON, or no text.
pub(super) fn content(kind: As, reply: &AreaReply<'_>) -> Result<Value, NodeError> {
    let content_type = content_type(reply.headers);
    let text = || std::str::from_utf8(reply.body);
    let no_text = |_| {
        let message = "the file is no text (UTF-8); as: \"base64\" gives its bytes";
        NodeError::new("not_text", message, false)
    };
    let no_json = |error: serde_json::Error| {
        let message = format!("the file is no JSON: {error}");
        NodeError::new("not_json", message, false)
    };
    let base64 = || Value::from(BASE64.encode(reply.body));
    let (encoding, content) = match kind {
        As::Text => ("text", text().map_err(no_text)?.into()),
        As::Json => ("json", serde_json::from_slice(reply.body).map_err(no_json)?),
        As::Base64 => ("base64", base64()),
        As::Auto => match (is_json(&content_type), text()) {
            (true, Ok(text)) => match serde_json::from_str(text) {
                Ok(value) => ("json", value),
                Err(_) => ("text", text.into()),
            },
            (false, Ok(text)) if content_type.starts_with("text/") => ("text", text.into()),
            _ => ("base64", base64()),
        },
    };
    Ok(json!({
        "content": content,
        "encoding": encoding,
        "content_type": content_type,
        "size_bytes": reply.body.len(),
    }))
}

fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    kind.unwrap_or("application/octet-stream").to_owned()
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json")
}
