//! OTLP traces from any OpenTelemetry client.
//!
//! [`read`] takes a request's body (protobuf or JSON, perhaps gzip), [`normalise`] makes our spans of it: the GenAI
//! conventions of OpenTelemetry in their old and new names, OpenInference and OpenLLMetry come out the same. What a
//! span came with stays in its attributes, under the same names. [`reply`] writes the answers that exporters expect.
//!
//! Times are kept in µs. A resource's attributes are in the span's attribute `otel.resource`, its instrumentation scope
//! in `otel.scope`.

mod content;
mod json;
mod names;
mod normalise;
mod price;
mod prompt;
pub mod proto;
mod read;
mod reply;
mod value;

pub use content::{Content, content_of, documents_at, may_have_content, unflatten};
pub use nodeai_llm::Prices;
pub use normalise::{Normalised, Rejected, normalise, normalise_at};
pub use read::{Encoding, Fault, read};
pub use reply::{failure, success};

/// Most bytes of an inflated body.
pub const MAX_INFLATED: usize = 32 << 20;
/// Most spans of one request.
pub const MAX_SPANS: usize = 10_000;
/// Most bytes of one span's attributes, events and links, as JSON; a span with more is rejected.
pub const MAX_SPAN_BYTES: usize = 1 << 20;
