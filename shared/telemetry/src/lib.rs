//! Telemetry: the span model, W3C trace context, the per-request buffer and OTLP JSON.
//!
//! Pure: no clock, no randomness, no I/O. Times and random bytes come from the caller,
//! so the same code serves components, the host and tests.

mod buffer;
mod context;
mod ids;
pub mod otlp;
mod span;
pub mod terms;

pub use buffer::Buffer;
pub use context::TraceContext;
pub use ids::{BadId, SpanId, TraceId};
pub use span::{Attributes, Event, Kind, Link, Span, Status};
