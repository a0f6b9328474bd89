//! The settings that every acting node may have in its `data`: time limit, retry, cache, what
//! to do after a failure. They are literals, but for two expressions.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::fault::Faults;
use crate::template::is_template;

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
    /// An expression that says whether to try again; without it the error's own kind does.
    pub retry_if: Option<String>,
}

/// Results that are taken from an earlier call with the same input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Cache {
    /// How long they count, in ms.
    pub ttl_ms: u64,
}

/// An output that stands for the node's work.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pinned {
    /// The output.
    pub output: Value,
    /// The handle whose edges are taken.
    pub handle: Option<String>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff_ms: 500,
            max_backoff_ms: 30_000,
            jitter: true,
            retry_if: None,
        }
    }
}

/// A node's settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Time limit of one attempt, in ms; of a loop or a called workflow as a whole.
    pub timeout_ms: Option<u64>,
    /// When to try again.
    pub retry: Retry,
    /// What to do after the last failure.
    pub on_error: OnError,
    /// Whether results are kept and taken again.
    pub cache: Option<Cache>,
    /// An output that stands for the node's work.
    pub pinned: Option<Pinned>,
    /// An expression; where it holds, the node hands on what came in.
    pub skip_if: Option<String>,
}

/// The names of the settings.
pub(crate) const NAMES: [&str; 6] = [
    "timeout_ms",
    "retry",
    "on_error",
    "cache",
    "pinned",
    "skip_if",
];

/// The settings' JSON Schemas, by name.
pub(crate) fn schemas() -> Value {
    json!({
        "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 3_600_000, "default": DEFAULT_TIMEOUT_MS,
            "description": "Most time for one attempt; for a loop or a called workflow, for all of it, and none unless given"},
        "retry": {
            "type": "object", "additionalProperties": false,
            "description": "When an attempt fails for a reason that may pass",
            "properties": {
                "max_attempts": {"type": "integer", "minimum": 1, "maximum": 20, "default": 1},
                "backoff_ms": {"type": "integer", "minimum": 0, "maximum": 3_600_000, "default": 500},
                "max_backoff_ms": {"type": "integer", "minimum": 0, "maximum": 3_600_000, "default": 30_000},
                "jitter": {"type": "boolean", "default": true, "description": "Draw the wait between 0 and the backoff"},
                "retry_if": {"type": "string", "minLength": 1, "x-nodeai": "expression",
                    "description": "Whether to try again: an expression that sees error.kind, error.message, error.retryable and attempt"},
            },
        },
        "on_error": {"type": "string", "enum": ["fail", "continue", "error_edge"], "default": "fail",
            "description": "After the last attempt: fail the run, go on with {error}, or take the edges from the handle `error`"},
        "cache": {
            "type": "object", "additionalProperties": false, "required": ["ttl_ms"],
            "description": "Take the result of an earlier call with the same input",
            "properties": {"ttl_ms": {"type": "integer", "minimum": 1, "maximum": 2_592_000_000_u64,
                "description": "How long a result counts"}},
        },
        "pinned": {
            "type": "object", "additionalProperties": false, "required": ["output"],
            "description": "Runs take this instead of doing the node's work, until it is removed",
            "properties": {
                "output": {"description": "The node's output"},
                "handle": {"type": "string", "description": "The handle whose edges are taken"},
            },
        },
        "skip_if": {"type": "string", "minLength": 1, "x-nodeai": "expression",
            "description": "An expression; where it holds, the node does nothing and hands on what came in"},
    })
}

impl Settings {
    /// Reads a node's settings; its schema has been checked, but with templates allowed.
    pub(crate) fn read(data: &Map<String, Value>, at: &str, faults: &mut Faults) -> Self {
        let mut own = Map::new();
        for name in NAMES {
            if let Some(value) = data.get(name) {
                own.insert(name.to_owned(), value.clone());
            }
        }
        if own.iter().any(|(name, value)| holds_template(name, value)) {
            let message =
                "timeout_ms, retry, on_error and cache must be plain values, not templates";
            faults.add(at, "not_allowed", message);
        }
        // What else is wrong with them, their schema has said.
        serde_json::from_value(Value::Object(own)).unwrap_or_default()
    }

    /// Time limit of one attempt, in ms.
    pub(crate) fn attempt_ms(&self) -> u64 {
        self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS)
    }
}

fn holds_template(name: &str, value: &Value) -> bool {
    match value {
        _ if matches!(name, "pinned" | "skip_if" | "retry_if") => false,
        Value::String(text) => is_template(text),
        Value::Object(map) => map.iter().any(|(name, value)| holds_template(name, value)),
        _ => false,
    }
}
