//! LLM providers without transport: requests are built and answers parsed here, bytes are
//! moved by the caller. Also what they cost, and the test models `builtin/echo` and `builtin/hash`.

mod anthropic;
pub mod bound;
mod chat;
mod cost;
pub mod echo;
mod endpoint;
mod error;
mod gemini;
pub mod listing;
mod openai;
mod prices;
mod stream;
pub mod vectors;

pub use chat::{
    ChatRequest, ChatResponse, Delta, FinishReason, Image, Message, ResponseFormat, Role, Tier,
    Tool, ToolCall, Usage,
};
pub use cost::{cost, cost_at};
pub use endpoint::{Endpoint, Provider, ReferenceError};
pub use error::{Error, ErrorKind};
pub use nodeai_sse::{ServerEvent, SseDecoder};
pub use prices::Prices;
pub use stream::StreamDecoder;
