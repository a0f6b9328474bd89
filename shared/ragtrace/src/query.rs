//! What a query is made of.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// One question, from its words to its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Query {
    /// The span around all of it.
    pub span_id: String,
    /// Its name.
    pub name: String,
    /// `ok`, `error` or `unset`.
    pub status: String,
    /// What was asked; null when no span says.
    pub question: Option<String>,
    /// What was looked for instead of the question's own words.
    pub rewrites: Vec<Rewrite>,
    /// What was done to find chunks, in the order in which it ended.
    pub stages: Vec<Stage>,
    /// What the model was given; null when no model was asked after the stages.
    pub prompt: Option<Prompt>,
    /// What the model said; null when it said nothing.
    pub answer: Option<Answer>,
    /// What it took of models.
    pub usage: Usage,
    /// Milliseconds from the span's start to its end.
    pub latency_ms: f64,
}

/// A text that was looked for and is not the question.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rewrite {
    /// The text.
    pub text: String,
    /// The spans that looked for it.
    pub used_by: Vec<String>,
    /// The call of a model whose answer it is, when there is one.
    pub made_by: Option<String>,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Finds chunks.
    Retrieval,
    /// Makes one list of several.
    Fusion,
    /// Leaves chunks out by what they are.
    Filter,
    /// Orders chunks by their relevance to the question.
    Rerank,
    /// Keeps the first of them.
    Select,
}

/// One step on the way of the chunks.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Stage {
    /// What it does.
    pub kind: Kind,
    /// Name of its span.
    pub name: String,
    /// Its span; of a selection that no span says, the call of the model.
    pub span_id: String,
    /// Milliseconds.
    pub took_ms: f64,
    /// What it looked for, when it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Its settings, as far as its attributes say.
    pub settings: Settings,
    /// Chunks that it was given; null when it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Vec<String>>,
    /// Chunks that it gave, the best first.
    pub candidates: Vec<Candidate>,
    /// The trace has only the beginning of its lists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// No span says so: it is what the prompt shows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inferred: bool,
}

/// Settings of a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Settings {
    /// Most chunks that a retrieval, a fusion or a selection gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<u64>,
    /// Most chunks that a reranker gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_n: Option<u64>,
    /// Least score of a chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// The model, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where it looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The condition on metadata, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
}

/// A chunk in a list.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Candidate {
    /// Id of the document, or hash of the text.
    pub chunk_id: String,
    /// Place in the list, from 1.
    pub rank: usize,
    /// Score; scales differ between stages.
    pub score: Option<f64>,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// What the model was given.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Prompt {
    /// The call of the model.
    pub span_id: String,
    /// The model.
    pub model: Option<String>,
    /// Messages as they were sent: `{"role","content"|"parts"}`.
    pub messages: Vec<Value>,
    /// Tokens of all of it, as the provider counts.
    pub tokens: Option<i64>,
    /// The chunks in it, in their order.
    pub chunks: Vec<PromptChunk>,
    /// The trace has only its beginning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// A chunk in a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PromptChunk {
    /// The chunk.
    pub chunk_id: String,
    /// How one knows.
    pub how: PromptHow,
}

/// How one knows that a chunk is in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptHow {
    /// Its text stands there.
    Text,
    /// Its id stands there.
    Id,
    /// The last stage gave it, and the prompt cannot be asked.
    Assumed,
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Answer {
    /// The call of the model.
    pub span_id: String,
    /// Its text.
    pub text: String,
    /// The chunks that it refers to, in the order of the prompt.
    pub cites: Vec<Cite>,
    /// The trace has only its beginning.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// A chunk that an answer refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cite {
    /// The chunk.
    pub chunk_id: String,
    /// How it does.
    pub how: How,
    /// The marker, such as `[2]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Words of the longest common n-gram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<usize>,
}

/// How an answer refers to a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By its number or id in brackets.
    Marker,
    /// By eight or more of its words in a row.
    Quote,
}

/// What a query took of models, each call once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Usage {
    /// Calls of models.
    pub calls: u32,
    /// Tokens read.
    pub prompt_tokens: i64,
    /// Tokens written.
    pub completion_tokens: i64,
    /// Both.
    pub tokens: i64,
    /// Micro-USD, rounded once; null when no call's price is known.
    pub cost_usd_micros: Option<i64>,
    /// Calls without a known price.
    pub unpriced_calls: u32,
}
