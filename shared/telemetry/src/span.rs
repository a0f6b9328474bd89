//! One span: the shape in which runs and requests are stored, searched and exported.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{SpanId, TraceId};

/// Free-form attributes, by semantic-convention name.
pub type Attributes = Map<String, Value>;

/// Which side of a call a span describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Work inside one process.
    #[default]
    Internal,
    /// The serving side of a request.
    Server,
    /// The calling side of a request.
    Client,
    /// Hands a message to a broker.
    Producer,
    /// Takes a message from a broker.
    Consumer,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody said.
    #[default]
    Unset,
    /// It did what it was for.
    Ok,
    /// It failed; `status_message` says how.
    Error,
}

/// Something that happened at one moment inside a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub name: String,
    /// When, in µs since the Unix epoch.
    pub at_us: i64,
    /// More about it.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A pointer to a span elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The other trace.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
    /// Why they belong together.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A span. The fields with a column of their own in the database are fields here; all
/// else is in `attributes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span it is part of; none for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// Low-cardinality name.
    pub name: String,
    /// Which side of a call it is.
    #[serde(default)]
    pub kind: Kind,
    /// Start, µs since the Unix epoch.
    pub start_us: i64,
    /// End, µs since the Unix epoch.
    pub end_us: i64,
    /// How it ended.
    #[serde(default)]
    pub status: Status,
    /// What went wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// The workflow node it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// That node's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    /// Which attempt at the node, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// LLM provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// LLM model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens sent to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<i64>,
    /// Tokens the model wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<i64>,
    /// Cost in pico-USD (10⁻¹² US dollars).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_pusd: Option<i64>,
    /// Of the prompt, tokens that the provider's cache had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<i64>,
    /// Of the prompt, tokens put into its cache for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<i64>,
    /// Of the prompt, tokens put there for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<i64>,
    /// Of what the model wrote, reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<i64>,
    /// Of the prompt, sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_input_tokens: Option<i64>,
    /// Of what the model wrote, sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_output_tokens: Option<i64>,
    /// Of the prompt, pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_input_tokens: Option<i64>,
    /// How the provider served it: `batch`, `flex`, `priority`, `fast`; none for the usual way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The prices by which the cost was reckoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// The session or conversation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The caller's own user for whom it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether the price was known; none where nothing is paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priced: Option<bool>,
    /// Everything else.
    #[serde(default)]
    pub attributes: Attributes,
    /// What happened meanwhile.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Related spans.
    #[serde(default)]
    pub links: Vec<Link>,
}

impl Span {
    /// A span with nothing but its identity and start; it ends where it starts until
    /// `end_us` is set.
    pub fn new(trace_id: TraceId, span_id: SpanId, name: impl Into<String>, start_us: i64) -> Self {
        Self {
            trace_id,
            span_id,
            parent_span_id: None,
            name: name.into(),
            kind: Kind::Internal,
            start_us,
            end_us: start_us,
            status: Status::Unset,
            status_message: None,
            node_id: None,
            node_type: None,
            attempt: None,
            provider: None,
            model: None,
            prompt_tokens: None,
            completion_tokens: None,
            cost_pusd: None,
            cache_read_tokens: None,
            cache_write_tokens: None,
            cache_write_1h_tokens: None,
            reasoning_tokens: None,
            audio_input_tokens: None,
            audio_output_tokens: None,
            image_input_tokens: None,
            service_tier: None,
            price_version: None,
            session_id: None,
            end_user: None,
            tags: None,
            priced: None,
            attributes: Attributes::new(),
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Duration in µs, never negative.
    pub fn duration_us(&self) -> i64 {
        self.end_us.saturating_sub(self.start_us).max(0)
    }

    /// Sets one attribute.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.attributes.insert(name.into(), value.into());
    }
}
