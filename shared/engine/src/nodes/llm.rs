//! `llm`: asks a language model.

use nodeai_llm::{
    ChatRequest, ChatResponse, Endpoint, Message, ReferenceError, ResponseFormat, Role, Tool, cost,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Call, Effect, Outcome, Spec, port};
use crate::fault::Faults;
use crate::log::{CallMeta, NodeError};
use crate::template;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "llm".into(),
        title: "Language model".into(),
        description: "Asks a language model: OpenAI, Anthropic, Gemini, any OpenAI-compatible server, or the test model builtin/echo.".into(),
        category: "ai".into(),
        config_schema: config_schema(),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The answer", json!({
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "json": {"description": "The text parsed, when response_format asks for JSON"},
                "model": {"type": "string"},
                "provider": {"type": "string"},
                "finish_reason": {"type": "string", "enum": ["stop", "length", "tool_calls", "content_filter", "other"]},
                "tool_calls": {"type": "array"},
                "usage": {"type": "object", "properties": {
                    "prompt_tokens": {"type": "integer"},
                    "completion_tokens": {"type": "integer"},
                    "cached_tokens": {"type": "integer"},
                    "cost_usd_micros": {"type": ["integer", "null"], "description": "Null when the price is not known"},
                }},
            },
        }))],
        example: json!({
            "model": "builtin/echo",
            "system": "You answer in one sentence.",
            "prompt": "{{ inputs.question }}",
            "temperature": 0.2,
            "max_tokens": 200,
        }),
    }
}

fn config_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["model"],
        "oneOf": [{"required": ["prompt"]}, {"required": ["messages"]}],
        "properties": {
            "model": {"type": "string", "minLength": 1, "maxLength": 256,
                "description": "provider/model, such as openai/gpt-4o-mini, anthropic/claude-sonnet-4-5, gemini/gemini-2.5-flash or builtin/echo"},
            "prompt": {"type": "string", "description": "What to ask; either this or messages"},
            "messages": {
                "description": "The conversation; either this or prompt",
                "type": "array", "minItems": 1, "maxItems": 1_000,
                "items": {
                    "type": "object", "additionalProperties": false, "required": ["role"],
                    "properties": {
                        "role": {"type": "string", "enum": ["system", "user", "assistant", "tool"]},
                        "content": {"type": "string"},
                        "tool_calls": {"type": "array"},
                        "tool_call_id": {"type": "string"},
                    },
                },
            },
            "system": {"type": "string", "description": "Instructions"},
            "temperature": {"type": "number", "minimum": 0, "maximum": 2},
            "top_p": {"type": "number", "minimum": 0, "maximum": 1},
            "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            "stop": {"type": "array", "maxItems": 8, "items": {"type": "string"}},
            "seed": {"type": "integer"},
            "tools": {"type": "array", "maxItems": 128, "items": {
                "type": "object", "additionalProperties": false, "required": ["name"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "description": {"type": "string"},
                    "parameters": {"type": "object"},
                },
            }},
            "response_format": {
                "description": "text, json, or {\"type\": \"json_schema\", \"schema\": …}",
                "anyOf": [
                    {"type": "string", "enum": ["text", "json", "json_object"]},
                    {"type": "object", "required": ["type"], "additionalProperties": false, "properties": {
                        "type": {"type": "string", "enum": ["text", "json_object", "json_schema"]},
                        "schema": {"type": "object"},
                    }},
                ],
            },
            "base_url": {"type": "string", "description": "Another server that speaks the provider's protocol, such as http://localhost:11434/v1"},
            "api_key": {"type": "string", "description": "Usually {{ secrets.NAME }}; without it the provider's own secret, such as OPENAI_API_KEY"},
        },
    })
}

/// A model to ask.
#[derive(Clone, PartialEq)]
pub struct LlmCall {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What to ask.
    pub chat: ChatRequest,
    /// The node's own API key; without it `endpoint.key_secret` names the one to use.
    pub api_key: Option<String>,
}

impl std::fmt::Debug for LlmCall {
    /// Without the key.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (endpoint, chat) = (&self.endpoint, &self.chat);
        out.debug_struct("LlmCall")
            .field("endpoint", endpoint)
            .field("chat", chat)
            .finish()
    }
}

#[derive(Deserialize)]
struct Config {
    model: String,
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    system: Option<String>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u32>,
    #[serde(default)]
    stop: Vec<String>,
    seed: Option<i64>,
    #[serde(default)]
    tools: Vec<Tool>,
    response_format: Option<Value>,
    base_url: Option<String>,
    api_key: Option<String>,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    let endpoint = Endpoint::resolve(&config.model, config.base_url.as_deref())
        .map_err(|error| NodeError::config(format!("/model: {error}")))?;
    let messages = match (config.prompt, config.messages) {
        (Some(prompt), None) => vec![Message::new(Role::User, prompt)],
        (None, Some(messages)) => messages,
        _ => {
            return Err(NodeError::config(
                "give either prompt or messages".to_owned(),
            ));
        }
    };
    let chat = ChatRequest {
        messages,
        system: config.system,
        temperature: config.temperature,
        top_p: config.top_p,
        max_tokens: config.max_tokens,
        stop: config.stop,
        seed: config.seed,
        tools: config.tools,
        response_format: config.response_format.map(response_format).transpose()?,
    };
    let api_key = config.api_key.filter(|key| !key.is_empty());
    Ok(Effect::Llm(Box::new(LlmCall {
        endpoint,
        chat,
        api_key,
    })))
}

/// A model that is written out must resolve.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let written = |name: &str| {
        data.get(name)
            .and_then(Value::as_str)
            .filter(|text| !template::is_template(text))
    };
    // A templated base_url may take any model.
    let base_url = match data.get("base_url") {
        Some(_) => Some(written("base_url").unwrap_or("http://later")),
        None => None,
    };
    if let Some(model) = written("model")
        && let Err(error) = Endpoint::resolve(model, base_url)
    {
        let field = if error == ReferenceError::BadBaseUrl {
            "base_url"
        } else {
            "model"
        };
        faults.add(format!("{at}/{field}"), "bad_model", error.to_string());
    }
}

fn response_format(config: Value) -> Result<ResponseFormat, NodeError> {
    match config.as_str() {
        Some("text") => Ok(ResponseFormat::Text),
        Some(_) => Ok(ResponseFormat::JsonObject),
        None => serde_json::from_value(config)
            .map_err(|error| NodeError::config(format!("/response_format: {error}"))),
    }
}

impl LlmCall {
    /// What is known of the call before its answer.
    pub fn meta(&self) -> CallMeta {
        CallMeta {
            provider: Some(self.endpoint.name.clone()),
            request_model: Some(self.endpoint.model.clone()),
            ..CallMeta::default()
        }
    }

    /// Turns the answer into the node's output.
    ///
    /// # Errors
    /// When JSON was asked for and the text is none; a retry may get some.
    pub fn finish(&self, answer: ChatResponse) -> (CallMeta, Result<Outcome, NodeError>) {
        let usage = answer.usage.unwrap_or_default();
        let cost_pusd = answer
            .usage
            .and_then(|usage| cost(&self.endpoint.reference(), &usage));
        let meta = CallMeta {
            response_model: Some(answer.model.clone()).filter(|model| !model.is_empty()),
            response_id: answer.id.clone(),
            finish_reason: Some(answer.finish_reason.as_str().to_owned()),
            usage: answer.usage,
            cost_pusd,
            ..self.meta()
        };
        let model = meta
            .response_model
            .clone()
            .unwrap_or_else(|| self.endpoint.model.clone());
        let mut output = json!({
            "text": answer.text,
            "model": model,
            "provider": self.endpoint.name,
            "finish_reason": answer.finish_reason,
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cached_tokens": usage.cached_tokens,
                "cost_usd_micros": cost_pusd.map(to_micros),
            },
        });
        if !answer.tool_calls.is_empty() {
            output["tool_calls"] = json!(answer.tool_calls);
        }
        let wants_json = !matches!(self.chat.response_format, None | Some(ResponseFormat::Text));
        if wants_json && answer.tool_calls.is_empty() {
            match serde_json::from_str::<Value>(without_fence(&answer.text)) {
                Ok(json) => output["json"] = json,
                Err(_) => {
                    let message = "the model was asked for JSON and answered something else";
                    return (
                        meta,
                        Err(NodeError::new("malformed_response", message, true)),
                    );
                }
            }
        }
        (meta, Ok(Outcome::new(output)))
    }
}

/// Pico-USD to whole micro-USD, rounded half up.
pub(crate) fn to_micros(pusd: i64) -> i64 {
    pusd.saturating_add(500_000).div_euclid(1_000_000)
}

/// Models like to put JSON into a Markdown fence.
fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix("```json")
        .or_else(|| text.strip_prefix("```"));
    inner
        .and_then(|inner| inner.strip_suffix("```"))
        .map_or(text, str::trim)
}
