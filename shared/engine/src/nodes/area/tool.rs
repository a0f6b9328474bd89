//! `tool`: one call of a registered tool: a function, an operation of an OpenAPI document, a tool of an MCP server.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{AreaCall, Call, Effect, Finish, Spec, port, segment};
use crate::log::NodeError;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "tool".into(),
        title: "Call a tool".into(),
        description: "Calls a tool that is registered with the organisation: a function, an operation of an OpenAPI document, a tool of an MCP server. Its arguments and its answer are checked against its schemas.".into(),
        category: "platform".into(),
        config_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["tool"],
            "properties": {
                "tool": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Its name or id"},
                "function": {"type": "string", "minLength": 1, "maxLength": 256, "description": "Which of its functions, where it offers several"},
                "arguments": {"type": "object", "description": "What the function takes"},
            },
        }),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "What the tool gives", json!({
            "type": "object",
            "properties": {
                "output": {"description": "Its answer"},
                "content": {"type": "array", "items": {"type": "object"}, "description": "Its parts, where it has such: text, images, resources"},
            },
        }))],
        example: json!({
            "tool": "crm",
            "function": "find_customer",
            "arguments": {"email": "{{ inputs.email }}"},
        }),
    }
}

#[derive(Deserialize)]
struct Config {
    tool: String,
    function: Option<String>,
    #[serde(default)]
    arguments: Map<String, Value>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let mut body = json!({"arguments": config.arguments});
    if let Some(function) = config.function {
        body["function"] = function.into();
    }
    let is_id = super::FileRef::read(&config.tool.as_str().into(), "").is_ok();
    let mut shown = body.clone();
    shown["tool"] = config.tool.as_str().into();
    let path = match is_id {
        true => format!("/api/v1/tools/{}/call", segment(&config.tool)),
        false => {
            body["name"] = config.tool.into();
            "/api/v1/tools/call".to_owned()
        }
    };
    let area = AreaCall::new("tools", Method::POST, path, Finish::Tool);
    Ok(area.json(&body).shown_as(shown).effect())
}

/// The answer; one that says that the tool failed is the node's error.
pub(super) fn output(answer: Value) -> Result<Value, NodeError> {
    if answer["is_error"] != true {
        return Ok(answer);
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let error = &answer["error"];
    let said = text(&error["message"]).or_else(|| text(&answer["output"]));
    let kind = error["kind"].as_str().unwrap_or("tool_error");
    let message = said.unwrap_or_else(|| "the tool failed and does not say why".to_owned());
    Err(NodeError::new(kind, message, error["retryable"] == true))
}
