//! `llm`: asks a language model. What the other nodes built on models share is here too.

mod messages;
mod talk;

use nodeai_llm::{ChatRequest, Endpoint, Message, ReferenceError, ResponseFormat, Role, Tool};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use self::talk::{Next, Talk};
use super::ai::agent::Agent;
use super::{Call, Effect, Spec, port};
use crate::fault::Faults;
use crate::log::{CallMeta, NodeError};
use crate::memory::{self, Memory};
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
                    "cache_write_tokens": {"type": "integer"},
                    "reasoning_tokens": {"type": "integer"},
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
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["model"],
        "oneOf": [{"required": ["prompt"]}, {"required": ["messages"]}],
        "properties": {
            "prompt": {"type": "string", "description": "What to ask; either this or messages"},
            "images": {"type": "array", "maxItems": 20, "items": {"type": "string", "minLength": 1},
                "description": "Pictures that go with the prompt: https: or data: URLs"},
            "messages": messages::schema(),
            "memory": memory::schema(),
            "tools": {"type": "array", "maxItems": 128, "description": "Functions that the model may ask for; its wishes are in tool_calls", "items": {
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
        },
    });
    add_model_settings(&mut schema);
    schema
}

/// Adds what every node that asks a model may have: the model, how it samples, and what happens when it does not answer well.
pub(super) fn add_model_settings(schema: &mut Value) {
    let settings = json!({
        "model": {"type": "string", "minLength": 1, "maxLength": 256,
            "description": "provider/model, such as openai/gpt-4o-mini, anthropic/claude-sonnet-4-5, gemini/gemini-2.5-flash or builtin/echo"},
        "system": {"type": "string", "description": "Instructions"},
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_p": {"type": "number", "minimum": 0, "maximum": 1},
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        "stop": {"type": "array", "maxItems": 8, "items": {"type": "string"}},
        "seed": {"type": "integer"},
        "repairs": {"type": "integer", "minimum": 0, "maximum": 5, "default": 1,
            "description": "How often the model is asked again, with the fault, when its JSON is not as asked for"},
        "fallbacks": {"type": "array", "maxItems": 8, "description": "Models to ask, one after the other, when this one fails", "items": {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 256},
                {"type": "object", "additionalProperties": false, "required": ["model"], "properties": {
                    "model": {"type": "string", "minLength": 1, "maxLength": 256},
                    "base_url": {"type": "string"},
                    "api_key": {"type": "string"},
                }},
            ],
        }},
        "base_url": {"type": "string", "description": "Another server that speaks the provider's protocol, such as http://localhost:11434/v1"},
        "api_key": {"type": "string", "description": "Usually {{ secrets.NAME }}; without it the provider's own secret, such as OPENAI_API_KEY"},
    });
    if let (Some(into), Value::Object(settings)) = (schema["properties"].as_object_mut(), settings)
    {
        into.extend(settings);
    }
}

/// One model of a chain.
#[derive(Clone, PartialEq)]
pub struct Model {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The node's own API key; without it `endpoint.key_secret` names the one to use.
    pub api_key: Option<String>,
}

/// What becomes of a model's last answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Text, JSON and tool calls as they are.
    Chat,
    /// The categories of a text.
    Classify,
    /// The fields of a text.
    Extract,
}

/// A model to ask.
#[derive(Clone, PartialEq)]
pub struct LlmCall {
    /// The models, in the order in which they are asked.
    pub(super) models: Vec<Model>,
    /// What to ask.
    pub chat: ChatRequest,
    /// How often it is asked again.
    pub(super) repairs: u32,
    pub(super) shape: Shape,
    /// The tools that are called here, and their bounds.
    pub(super) agent: Option<Agent>,
    /// The conversation that it belongs to.
    pub(crate) memory: Option<Memory>,
}

impl std::fmt::Debug for LlmCall {
    /// Without the keys.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let models: Vec<&Endpoint> = self.models.iter().map(|model| &model.endpoint).collect();
        out.debug_struct("LlmCall")
            .field("models", &models)
            .field("chat", &self.chat)
            .finish()
    }
}

/// The settings of [`add_model_settings`].
#[derive(Deserialize)]
pub(super) struct Settings {
    model: String,
    pub(super) system: Option<String>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u32>,
    #[serde(default)]
    stop: Vec<String>,
    seed: Option<i64>,
    repairs: Option<u32>,
    #[serde(default)]
    fallbacks: Vec<Fallback>,
    base_url: Option<String>,
    api_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fallback {
    Name(String),
    Whole {
        model: String,
        base_url: Option<String>,
        api_key: Option<String>,
    },
}

impl Settings {
    /// A call of these models with these messages.
    pub(super) fn call(
        self,
        messages: Vec<Message>,
        format: Option<ResponseFormat>,
        shape: Shape,
    ) -> Result<LlmCall, NodeError> {
        let model = |field: &str, name: &str, base_url: Option<&str>, key: Option<String>| {
            let endpoint = Endpoint::resolve(name, base_url);
            let endpoint =
                endpoint.map_err(|error| NodeError::config(format!("/{field}: {error}")))?;
            let api_key = key.filter(|key| !key.is_empty());
            Ok::<Model, NodeError>(Model { endpoint, api_key })
        };
        let mut models = vec![model(
            "model",
            &self.model,
            self.base_url.as_deref(),
            self.api_key,
        )?];
        for (at, fallback) in self.fallbacks.into_iter().enumerate() {
            let field = format!("fallbacks/{at}");
            models.push(match fallback {
                Fallback::Name(name) => model(&field, &name, None, None)?,
                Fallback::Whole {
                    model: name,
                    base_url,
                    api_key,
                } => model(&field, &name, base_url.as_deref(), api_key)?,
            });
        }
        Ok(LlmCall {
            models,
            chat: ChatRequest {
                messages,
                system: self.system,
                temperature: self.temperature,
                top_p: self.top_p,
                max_tokens: self.max_tokens,
                stop: self.stop,
                seed: self.seed,
                tools: Vec::new(),
                response_format: format,
            },
            repairs: self.repairs.unwrap_or(1),
            shape,
            agent: None,
            memory: None,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Config {
    #[serde(flatten)]
    pub(super) settings: Settings,
    prompt: Option<String>,
    #[serde(default)]
    images: Vec<String>,
    messages: Option<Vec<Value>>,
    #[serde(default)]
    tools: Vec<Tool>,
    response_format: Option<Value>,
    memory: Option<memory::Config>,
}

impl Config {
    /// The conversation and the call of it.
    pub(super) fn into_call(self) -> Result<LlmCall, NodeError> {
        let messages = match (self.prompt, self.messages) {
            (Some(prompt), None) => {
                let mut message = Message::new(Role::User, prompt);
                let images = self.images.into_iter().map(|url| json!({"url": url}));
                message.images = images
                    .enumerate()
                    .map(|(at, image)| messages::image(&image, &format!("images/{at}")))
                    .collect::<Result<_, _>>()?;
                vec![message]
            }
            (None, Some(messages)) => messages::read(messages)?,
            _ => {
                return Err(NodeError::config(
                    "give either prompt or messages".to_owned(),
                ));
            }
        };
        let format = self.response_format.map(response_format).transpose()?;
        let memory = self.memory.map(|memory| memory.memory(&messages));
        let memory = memory.transpose()?;
        let mut call = self.settings.call(messages, format, Shape::Chat)?;
        call.chat.tools = self.tools;
        call.memory = memory;
        Ok(call)
    }
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let config: Config = call.config()?;
    Ok(Effect::Llm(Box::new(config.into_call()?)))
}

/// A model that is written out must resolve.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    check_model(data, at, faults);
    let fallbacks = data.get("fallbacks").and_then(Value::as_array);
    for (i, fallback) in fallbacks.into_iter().flatten().enumerate() {
        let at = format!("{at}/fallbacks/{i}");
        match fallback {
            Value::String(name) => {
                let alone = Map::from_iter([("model".to_owned(), Value::from(name.as_str()))]);
                check_model(&alone, &at, faults);
            }
            Value::Object(whole) => check_model(whole, &at, faults),
            _ => {}
        }
    }
}

fn check_model(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
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
        let first = &self.models[0].endpoint;
        CallMeta {
            provider: Some(first.name.clone()),
            request_model: Some(first.model.clone()),
            ..CallMeta::default()
        }
    }

    /// Everything on which the answer depends.
    pub(super) fn identity(&self) -> Value {
        let models = self.models.iter().map(|model| {
            let endpoint = &model.endpoint;
            json!([endpoint.reference(), endpoint.base_url, model.api_key])
        });
        let shape = format!("{:?}", self.shape);
        let agent = self.agent.as_ref().map(Agent::identity);
        json!([
            models.collect::<Vec<_>>(),
            self.chat,
            self.repairs,
            shape,
            agent
        ])
    }

    /// Whether the model may use tools.
    pub(super) fn has_tools(&self) -> bool {
        self.agent.as_ref().is_some_and(Agent::has_tools)
    }

    /// What is sent, for the log. Pictures within URLs are left out.
    pub(super) fn shown(&self) -> Value {
        let mut shown = json!({"model": self.models[0].endpoint.reference()});
        let mut chat = self.chat.clone();
        for image in chat
            .messages
            .iter_mut()
            .flat_map(|message| &mut message.images)
        {
            if let Some((kind, data)) = image
                .url
                .split_once(',')
                .filter(|(kind, _)| kind.starts_with("data:"))
            {
                image.url = format!("{kind},… ({} bytes)", data.len());
            }
        }
        if let (Some(into), Ok(Value::Object(chat))) =
            (shown.as_object_mut(), serde_json::to_value(&chat))
        {
            into.extend(chat);
        }
        shown
    }
}

/// Pico-USD to whole micro-USD, rounded half up.
pub(crate) fn to_micros(pusd: i64) -> i64 {
    pusd.saturating_add(500_000).div_euclid(1_000_000)
}
