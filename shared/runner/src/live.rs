//! Events for somebody who watches a run. The end of the run is not among them: the caller
//! announces it once it is stored.

use nodeai_engine::NodeError;
use serde::Serialize;
use serde_json::Value;

/// One live event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Live {
    /// The run began.
    RunStarted {
        /// The execution's id.
        execution_id: String,
        /// The run's trace, 32 hex digits.
        trace_id: String,
    },
    /// An attempt at a node began.
    NodeStarted {
        /// Node id.
        node_id: String,
        /// Node type.
        node_type: String,
        /// From 1.
        attempt: u32,
    },
    /// A model wrote more text. If the attempt fails and is retried, the text starts anew.
    Token {
        /// Node id.
        node_id: String,
        /// From 1.
        attempt: u32,
        /// The text.
        text: String,
    },
    /// A node will be tried again.
    NodeRetry {
        /// Node id.
        node_id: String,
        /// The attempt to come.
        attempt: u32,
        /// In how many ms.
        wait_ms: i64,
    },
    /// A node is done.
    NodeFinished {
        /// Node id.
        node_id: String,
        /// The handle whose edges are taken.
        handle: String,
        /// Its output.
        output: Value,
    },
    /// A node failed.
    NodeFailed {
        /// Node id.
        node_id: String,
        /// Why.
        error: NodeError,
        /// Whether the run goes on.
        handled: bool,
    },
    /// No edge to the node was taken.
    NodeSkipped {
        /// Node id.
        node_id: String,
    },
    /// The run ended while the node was at work.
    NodeCancelled {
        /// Node id.
        node_id: String,
    },
}

impl Live {
    /// The event's name for server-sent events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::NodeStarted { .. } => "node_started",
            Self::Token { .. } => "token",
            Self::NodeRetry { .. } => "node_retry",
            Self::NodeFinished { .. } => "node_finished",
            Self::NodeFailed { .. } => "node_failed",
            Self::NodeSkipped { .. } => "node_skipped",
            Self::NodeCancelled { .. } => "node_cancelled",
        }
    }
}
