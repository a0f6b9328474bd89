//! A span as the API shows it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A span with the spans inside it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[allow(
    dead_code,
    reason = "it describes what is written as text, and is never made"
)]
pub struct SpanNode {
    /// The span: ids, name, kind, status, times, tokens, cost, attributes.
    #[serde(flatten)]
    pub span: serde_json::Map<String, Value>,
    /// Its children, by start.
    pub children: Vec<SpanNode>,
}
