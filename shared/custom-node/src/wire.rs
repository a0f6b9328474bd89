//! What travels between a run and a custom node, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One attempt.
#[derive(Debug, Deserialize)]
pub struct Job {
    /// `data` with its templates rendered.
    pub config: Value,
    /// What came in over the edges.
    #[serde(default)]
    pub input: Value,
    /// The same for every attempt.
    #[serde(default)]
    pub idempotency_key: String,
    /// Time that is left, in ms.
    #[serde(default)]
    pub timeout_ms: u64,
}

/// A node that cannot be described, or an answer that is no JSON.
#[derive(Debug, Serialize)]
pub struct Fault {
    /// What is wrong.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Where, and why.
    pub detail: String,
}

/// Reads a JSON text that a node gave.
///
/// # Errors
/// When it is none; says which one.
pub fn json(what: &'static str, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| Fault {
        title: "Not JSON",
        status: 502,
        detail: format!("the node's {what} is not JSON: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_named() {
        assert_eq!(
            json("output", "{\"a\": 1}").ok(),
            Some(serde_json::json!({"a": 1}))
        );
        let fault = json("output", "{").expect_err("no JSON");
        assert!(
            fault.detail.starts_with("the node's output is not JSON"),
            "{}",
            fault.detail
        );
    }

    #[test]
    fn a_job_needs_a_config_alone() {
        let job: Job = serde_json::from_str(r#"{"config": {}}"#).expect("a job");
        assert_eq!((job.input, job.timeout_ms), (Value::Null, 0));
        assert!(serde_json::from_str::<Job>("{}").is_err());
    }
}
