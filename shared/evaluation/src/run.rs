//! A run that has ended, as whoever drains hears of it.

use serde::Deserialize;
use serde_json::Value;

/// How a run has ended.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Run {
    /// Its trace.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// What came out.
    #[serde(default)]
    pub outputs: Value,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<Failure>,
    /// What it cost.
    #[serde(default)]
    pub cost_pusd: i64,
    /// How long it took, µs.
    #[serde(default)]
    pub latency_us: Option<i64>,
}

/// Why a run failed.
#[derive(Debug, Clone, Deserialize)]
pub struct Failure {
    /// At which node.
    #[serde(default)]
    pub node_id: Option<String>,
    /// What kind of failure.
    pub kind: String,
    /// For a person.
    pub message: String,
}

impl Run {
    /// Its outputs.
    ///
    /// # Errors
    /// Why there are none, as a sentence about `what`.
    pub fn outputs(&self, what: &str) -> Result<&Value, String> {
        if self.status == "succeeded" {
            return Ok(&self.outputs);
        }
        let Some(error) = &self.error else {
            return Err(format!("{what} was {}", self.status));
        };
        let place = error.node_id.as_deref();
        let place = place.map_or_else(String::new, |node| format!(" at node {node}"));
        let (kind, message) = (&error.kind, &error.message);
        Err(format!("{what} failed{place}: {kind}: {message}"))
    }
}
