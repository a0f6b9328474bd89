//! Conversations as a config writes them: texts, parts with pictures, tool calls and their results.

use nodeai_llm::{Image, Message, Role, ToolCall};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::log::NodeError;

/// Most bytes of one picture within a URL.
const LARGEST_IMAGE: usize = 8 * 1024 * 1024;

/// The schema of `messages`.
pub(in crate::nodes) fn schema() -> Value {
    json!({
        "description": "The conversation; either this or prompt. Content is a text, or a list of {type: text, text} and {type: image, url}",
        "type": "array", "minItems": 1, "maxItems": 1_000,
        "items": {
            "type": "object", "additionalProperties": false, "required": ["role"],
            "properties": {
                "role": {"type": "string", "enum": ["system", "user", "assistant", "tool"]},
                "content": {"anyOf": [
                    {"type": "string"},
                    {"type": "array", "maxItems": 100, "items": {"type": "object", "required": ["type"], "properties": {
                        "type": {"type": "string", "enum": ["text", "image", "image_url"]},
                        "text": {"type": "string"},
                        "url": {"type": "string"},
                        "detail": {"type": "string", "enum": ["auto", "low", "high"]},
                    }}},
                    {"type": "null"},
                ]},
                "tool_calls": {"type": "array"},
                "tool_call_id": {"type": "string"},
            },
        },
    })
}

#[derive(Deserialize)]
struct Written {
    role: Role,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    tool_calls: Vec<Value>,
    tool_call_id: Option<String>,
}

/// Reads a conversation.
pub(super) fn read(messages: Vec<Value>) -> Result<Vec<Message>, NodeError> {
    let read = messages.into_iter().enumerate().map(|(at, written)| {
        let at = format!("messages/{at}");
        let written: Written = serde_json::from_value(written)
            .map_err(|error| NodeError::config(format!("/{at}: {error}")))?;
        let mut message = Message::new(written.role, "");
        message.tool_call_id = written.tool_call_id;
        message.tool_calls = written.tool_calls.iter().map(tool_call).collect();
        read_content(written.content, &mut message, &at)?;
        Ok(message)
    });
    read.collect()
}

fn read_content(content: Value, into: &mut Message, at: &str) -> Result<(), NodeError> {
    match content {
        Value::Null => {}
        Value::String(text) => into.content = text,
        Value::Array(parts) => {
            for (i, part) in parts.iter().enumerate() {
                let at = format!("{at}/content/{i}");
                match part["type"].as_str() {
                    Some("text") => {
                        if !into.content.is_empty() {
                            into.content.push('\n');
                        }
                        into.content
                            .push_str(part["text"].as_str().unwrap_or_default());
                    }
                    _ => into.images.push(image(part, &at)?),
                }
            }
        }
        // What a tool gave, as a template left it.
        other => into.content = other.to_string(),
    }
    if !into.images.is_empty() && into.role != Role::User {
        return Err(NodeError::config(format!(
            "/{at}: only messages of the user have pictures"
        )));
    }
    Ok(())
}

/// A picture: `{url, detail}`, or as OpenAI writes it.
pub(super) fn image(part: &Value, at: &str) -> Result<Image, NodeError> {
    let inner = part.get("image_url");
    let url = part["url"]
        .as_str()
        .or_else(|| inner?.as_str())
        .or_else(|| inner?["url"].as_str());
    let detail = part.get("detail").or_else(|| inner?.get("detail"));
    let url = url.map(str::trim).filter(|url| {
        let inline = url
            .strip_prefix("data:image/")
            .and_then(|rest| rest.split_once(";base64,"));
        inline.is_some_and(|(_, data)| data.len() <= LARGEST_IMAGE) || url.starts_with("https://")
    });
    let url = url.ok_or_else(|| {
        NodeError::config(format!(
            "/{at}: a picture is an https: URL, or a data: URL of at most {} MiB of base64",
            LARGEST_IMAGE >> 20
        ))
    })?;
    Ok(Image {
        url: url.to_owned(),
        detail: detail.and_then(Value::as_str).map(str::to_owned),
    })
}

/// As `tool_calls` of an llm node gives it, or as OpenAI writes it.
fn tool_call(written: &Value) -> ToolCall {
    let function = written.get("function").unwrap_or(written);
    let arguments = &function["arguments"];
    ToolCall {
        id: written["id"].as_str().unwrap_or_default().to_owned(),
        name: function["name"].as_str().unwrap_or_default().to_owned(),
        arguments: arguments
            .as_str()
            .map_or_else(|| arguments.to_string(), str::to_owned),
    }
}
