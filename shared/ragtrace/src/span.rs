//! A span as the store gives it, with its attributes.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A span with its attributes, as they came.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Span {
    /// Ids, times, tokens, costs.
    #[serde(flatten)]
    pub base: nodeai_traceview::Span,
    /// Attributes, under the names they came with.
    #[serde(default)]
    pub attributes: Map<String, Value>,
}

impl Span {
    /// The first of these attributes that is a text, not empty.
    pub(crate) fn text(&self, names: &[&str]) -> Option<&str> {
        let mut texts = names
            .iter()
            .filter_map(|name| self.attributes.get(*name)?.as_str());
        texts.find(|text| !text.is_empty())
    }

    /// Milliseconds.
    pub(crate) fn took_ms(&self) -> f64 {
        self.base.duration_us() as f64 / 1_000.0
    }
}
