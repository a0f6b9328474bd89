//! The settings that every acting node may have in its `data`: time limit, retry, what to
//! do after a failure. They are literals, never templates.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fault::Faults;

/// Time limit of one attempt where the node says nothing.
pub const DEFAULT_TIMEOUT_MS: u64 = 120_000;

/// What to do after the last failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// The run goes on; the node's output is `{error}`.
    Continue,
    /// The edges from the handle `error` are taken, with `{error}` as output.
    ErrorEdge,
}

/// When to try again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Attempts in all.
    pub max_attempts: u32,
    /// Wait after the first attempt, in ms; doubled after each further one.
    pub backoff_ms: u64,
    /// Longest wait, in ms.
    pub max_backoff_ms: u64,
    /// Draw each wait between 0 and the backoff.
    pub jitter: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff_ms: 500,
            max_backoff_ms: 30_000,
            jitter: true,
        }
    }
}

/// A node's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Time limit of one attempt, in ms.
    pub timeout_ms: u64,
    /// When to try again.
    pub retry: Retry,
    /// What to do after the last failure.
    pub on_error: OnError,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout_ms: DEFAULT_TIMEOUT_MS,
            retry: Retry::default(),
            on_error: OnError::Fail,
        }
    }
}

impl Settings {
    /// Reads a node's settings; its schema has been checked, but with templates allowed.
    pub(crate) fn read(data: &Map<String, Value>, at: &str, faults: &mut Faults) -> Self {
        let mut own = Map::new();
        for name in ["timeout_ms", "retry", "on_error"] {
            if let Some(value) = data.get(name) {
                own.insert(name.to_owned(), value.clone());
            }
        }
        serde_json::from_value(Value::Object(own)).unwrap_or_else(|_| {
            let message = "timeout_ms, retry and on_error must be plain values, not templates";
            faults.add(at, "not_allowed", message);
            Self::default()
        })
    }
}
