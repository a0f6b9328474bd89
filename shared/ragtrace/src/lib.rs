//! One retrieval-augmented query as one object, from the spans of its trace, without I/O.
//!
//! [`assemble`] reads spans of three kinds and makes [`Query`]s of them: those of our own runs (`nodeai.input`,
//! `nodeai.output`), OpenTelemetry's GenAI conventions (`gen_ai.operation.name`, `gen_ai.retrieval.documents`,
//! `gen_ai.input.messages`) and OpenInference (`openinference.span.kind`, `retrieval.documents`, `reranker.*`,
//! `llm.input_messages`). [`why`] says at which stage a chunk fell out of a query, and which setting would have kept it.
//!
//! - **A chunk is** its document's id; without one, `sha256:` and the beginning of the hash of its text with blanks made
//!   one. A text that has an id anywhere in the trace has it everywhere. Where one list has the same id for several
//!   texts, it is the document's and not the chunk's: then the hash is appended (`id#hash`).
//! - **A query is** the smallest span with a stage in it and a call of a model that begins after that stage. A trace may
//!   hold several; what has stages and no such call is a query without an answer.
//! - **In the prompt is** what stands there word for word (blanks aside; 200 characters are enough), or by its id.
//!   Where no chunk's text is found, the last stage's candidates are assumed to be.
//! - **A citation is** a marker (`[2]`, `[chunk-id]`, counted in the order of the prompt) or a quote: the longest common
//!   word n-gram of answer and chunk has at least eight words (`cite::QUOTE_WORDS`).
//! - Any client can name a stage that no convention knows: `nodeai.rag.stage` with `retrieval`, `fusion`, `filter`,
//!   `rerank` or `select`, its settings in `nodeai.rag.k`, `nodeai.rag.top_n`, `nodeai.rag.threshold`.

mod assemble;
mod chunk;
mod cite;
mod group;
mod json;
mod prompt;
mod query;
mod read;
mod role;
mod settings;
mod span;
mod why;
mod words;

pub use assemble::assemble;
pub use query::{
    Answer, Candidate, Cite, How, Kind, Prompt, PromptChunk, PromptHow, Query, Rewrite, Settings,
    Stage, Usage,
};
pub use span::Span;
pub use why::{At, Change, Outcome, Seen, Setting, Why, why};

#[cfg(test)]
mod tests;
