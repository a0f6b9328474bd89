//! What a node kind means for the scheduler: whether it has a body, which handles it has, when
//! its turn comes. Read once, from literal config.

use serde_json::{Map, Value};

use super::switch;

/// How a node goes on after its attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It is done.
    Plain,
    /// Its body runs once per item.
    Each {
        concurrency: usize,
        on_item_error: OnItemError,
        result: Option<String>,
    },
    /// Its body runs as long as its condition holds.
    While {
        most: u32,
        fails_at_limit: bool,
        result: Option<String>,
    },
    /// Another workflow runs.
    Call(WorkflowRef),
}

/// A version of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkflowRef {
    /// The workflow's id.
    pub workflow_id: String,
    /// Its version.
    pub version: i64,
}

/// Names that loops let templates see.
pub(crate) const LOOP_NAMES: [&str; 4] = ["item", "index", "previous", "loops"];

/// What a failed iteration means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnItemError {
    Fail,
    Continue,
    Drop,
}

impl Flow {
    pub(crate) fn read(kind: &str, data: &Map<String, Value>) -> Self {
        let number = |name: &str, otherwise: u64| {
            data.get(name).and_then(Value::as_u64).unwrap_or(otherwise)
        };
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let result = text("result").map(str::to_owned);
        match kind {
            "for_each" => Self::Each {
                concurrency: number("concurrency", 1) as usize,
                on_item_error: match text("on_item_error") {
                    Some("continue") => OnItemError::Continue,
                    Some("drop") => OnItemError::Drop,
                    _ => OnItemError::Fail,
                },
                result,
            },
            "while" => Self::While {
                most: u32::try_from(number("max_iterations", 100)).unwrap_or(u32::MAX),
                fails_at_limit: text("on_limit") != Some("stop"),
                result,
            },
            "workflow" => match WorkflowRef::read(data) {
                Some(which) => Self::Call(which),
                None => Self::Plain,
            },
            _ => Self::Plain,
        }
    }

    /// Whether nodes may have it as their `parentId`.
    pub(crate) fn has_body(&self) -> bool {
        matches!(self, Self::Each { .. } | Self::While { .. })
    }

    /// The node of the body whose output is an iteration's result.
    pub(crate) fn result(&self) -> Option<&str> {
        match self {
            Self::Each { result, .. } | Self::While { result, .. } => result.as_deref(),
            _ => None,
        }
    }
}

impl WorkflowRef {
    /// From `workflow_id` and `version`.
    pub(crate) fn read(data: &Map<String, Value>) -> Option<Self> {
        Some(Self {
            workflow_id: data.get("workflow_id")?.as_str()?.to_ascii_lowercase(),
            version: data.get("version")?.as_i64()?,
        })
    }
}

/// When a node's turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    /// Every edge is resolved, at least one of them taken.
    All,
    /// So many edges are taken.
    Count(u32),
}

impl Join {
    pub(crate) fn read(kind: &str, data: &Map<String, Value>) -> Self {
        match data.get("join").filter(|_| kind == "merge") {
            Some(Value::String(word)) if word == "any" => Self::Count(1),
            Some(Value::Number(count)) => {
                let count = count.as_u64().and_then(|count| u32::try_from(count).ok());
                Self::Count(count.unwrap_or(u32::MAX).max(1))
            }
            _ => Self::All,
        }
    }
}

/// A node's handles beside those of its catalogue entry.
pub(crate) fn own_handles<'a>(kind: &str, data: &'a Map<String, Value>) -> Vec<&'a str> {
    match kind {
        "switch" => switch::cases(data),
        _ => Vec::new(),
    }
}
