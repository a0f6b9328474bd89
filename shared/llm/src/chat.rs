//! The one shape of a chat request and its answer; every provider is translated to and from it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions; the same as [`ChatRequest::system`].
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    #[serde(default)]
    pub content: String,
    /// Pictures that go with the text (user only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Tools the model asked for (assistant only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that this is the result of (tool only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A plain message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            images: Vec::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }
}

/// A picture within a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// An `https:` URL that the provider fetches, or a `data:` URL with base64 in it.
    pub url: String,
    /// How closely the model should look, where the provider has that: `low`, `high`, `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Image {
    /// Media type and base64 of a `data:` URL.
    pub(crate) fn inline(&self) -> Option<(&str, &str)> {
        let (kind, data) = self.url.strip_prefix("data:")?.split_once(',')?;
        Some((kind.strip_suffix(";base64")?, data))
    }
}

/// A function that the model may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of its arguments.
    #[serde(default)]
    pub parameters: Value,
}

/// A tool that the model asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's id for the call; empty where it has none.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments as the model wrote them: JSON text.
    pub arguments: String,
}

/// The form that the answer must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat {
    /// Any text.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON by this schema.
    JsonSchema {
        /// The schema.
        schema: Value,
    },
}

/// What to ask of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Instructions that come before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Most tokens to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Sampling seed, where the provider has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Tools on offer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Form of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
}

impl ChatRequest {
    /// All instructions as one text: `system`, then the system messages.
    pub(crate) fn instructions(&self) -> Option<String> {
        let of_messages = self.messages.iter().filter(|m| m.role == Role::System);
        let all: Vec<&str> = self
            .system
            .as_deref()
            .into_iter()
            .chain(of_messages.map(|message| message.content.as_str()))
            .filter(|text| !text.is_empty())
            .collect();
        (!all.is_empty()).then(|| all.join("\n\n"))
    }

    /// The messages that are not instructions.
    pub(crate) fn turns(&self) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .filter(|message| message.role != Role::System)
    }
}

/// Tokens that a request used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read by the model, cached ones included.
    pub prompt_tokens: i64,
    /// Tokens written by the model.
    pub completion_tokens: i64,
    /// Of the prompt tokens, those that the provider had cached.
    #[serde(default)]
    pub cached_tokens: i64,
    /// Of the prompt tokens, those that it put into its cache for five minutes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_tokens: i64,
    /// Of the prompt tokens, those that it put there for an hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h_tokens: i64,
    /// Of the prompt tokens, sound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input_tokens: i64,
    /// Of the prompt tokens, pictures, where the provider counts them apart.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_input_tokens: i64,
    /// Of the tokens written, reasoning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens: i64,
    /// Of the tokens written, sound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output_tokens: i64,
    /// The tier that served it, where that is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &i64) -> bool {
    *count == 0
}

impl Usage {
    /// What another request used is added; the tier is the other's.
    pub fn add(&mut self, other: &Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.cache_write_1h_tokens += other.cache_write_1h_tokens;
        self.audio_input_tokens += other.audio_input_tokens;
        self.image_input_tokens += other.image_input_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.audio_output_tokens += other.audio_output_tokens;
        self.tier = other.tier;
    }

    /// In buckets of which no token is in two.
    pub fn tokens(&self) -> nodeai_pricing::Tokens {
        nodeai_pricing::Inclusive {
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cache_read_tokens: self.cached_tokens,
            cache_write_tokens: self.cache_write_tokens,
            cache_write_1h_tokens: self.cache_write_1h_tokens,
            audio_input_tokens: self.audio_input_tokens,
            image_input_tokens: self.image_input_tokens,
            reasoning_tokens: self.reasoning_tokens,
            audio_output_tokens: self.audio_output_tokens,
        }
        .into()
    }
}

/// How a provider served a request, where that has a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Within hours.
    Batch,
    /// When there is room.
    Flex,
    /// Before others.
    Priority,
    /// On faster machines.
    Fast,
}

impl Tier {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Fast => "fast",
        }
    }

    /// Reads what a provider says; none for the usual tier and for names that have no price.
    pub fn read(name: &str) -> Option<Self> {
        let all = [Self::Batch, Self::Flex, Self::Priority, Self::Fast];
        all.into_iter().find(|tier| tier.as_str() == name)
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It reached the token limit.
    Length,
    /// It asks for tools.
    ToolCalls,
    /// The provider withheld the answer.
    ContentFilter,
    /// Something else.
    Other,
}

impl FinishReason {
    /// The name in logs and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other => "other",
        }
    }
}

/// A model's whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatResponse {
    /// The text, empty if it only asks for tools.
    pub text: String,
    /// Tools it asks for.
    #[serde(default)]
    pub tool_calls: Vec<ToolCall>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// The provider's id of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Tokens used; none where the provider did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// One step of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// More text.
    Text(String),
    /// A part of the tool call at this index; `id` and `name` come with the first part.
    ToolCall {
        /// Which call.
        index: usize,
        /// Its id.
        id: Option<String>,
        /// Its tool.
        name: Option<String>,
        /// More of its arguments.
        arguments: String,
    },
    /// The answer's id and model.
    Start {
        /// The provider's id of the answer.
        id: Option<String>,
        /// The model that answers.
        model: Option<String>,
    },
    /// Tokens so far; a later one replaces an earlier one.
    Usage(Usage),
    /// The model stopped.
    Finish(FinishReason),
}
