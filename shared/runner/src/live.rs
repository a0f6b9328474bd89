//! Events for somebody who watches a run. `node_id` is a node of the document; one inside a loop
//! or a called workflow has the way to it in front: `each[2]/fetch`. The end of the run is not among them: the caller
//! announces it once it is stored.

use nodeai_engine::{AttemptResult, Event, NodeError, Wait, What};
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
    /// A node waits, for a time or for somebody.
    NodeSuspended {
        /// Node id.
        node_id: String,
        /// What for.
        wait: Wait,
    },
    /// The body of a loop, or a called workflow, begins.
    IterationStarted {
        /// The loop's node id.
        node_id: String,
        /// From 0.
        index: u32,
    },
    /// It ended.
    IterationFinished {
        /// The loop's node id.
        node_id: String,
        /// From 0.
        index: u32,
        /// Whether a node of it failed.
        failed: bool,
    },
    /// The run has failed; its error workflow begins.
    ErrorWorkflowStarted,
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
            Self::NodeSuspended { .. } => "node_suspended",
            Self::IterationStarted { .. } => "iteration_started",
            Self::IterationFinished { .. } => "iteration_finished",
            Self::ErrorWorkflowStarted => "error_workflow_started",
            Self::NodeFinished { .. } => "node_finished",
            Self::NodeFailed { .. } => "node_failed",
            Self::NodeSkipped { .. } => "node_skipped",
            Self::NodeCancelled { .. } => "node_cancelled",
        }
    }
}

/// What of the log somebody who watches is told. `step` is the fact that led to the event, and
/// what else followed from it.
pub(crate) fn of(
    event: &Event,
    step: &[Event],
    kind_of: &dyn Fn(&str) -> Option<String>,
) -> Option<Live> {
    Some(match &event.what {
        What::RunStarted(started) => Live::RunStarted {
            execution_id: started.execution_id.clone(),
            trace_id: started.trace_id.to_string(),
        },
        What::AttemptStarted { node, attempt, .. } => Live::NodeStarted {
            node_id: node.clone(),
            node_type: kind_of(node).unwrap_or_default(),
            attempt: *attempt,
        },
        What::RetryScheduled {
            node,
            attempt,
            due_us,
        } => Live::NodeRetry {
            node_id: node.clone(),
            attempt: *attempt,
            wait_ms: (due_us - event.at_us) / 1_000,
        },
        What::NodeSuspended { node, .. } => Live::NodeSuspended {
            node_id: node.clone(),
            wait: match result_in(step)? {
                AttemptResult::Wait { wait } => (**wait).clone(),
                _ => return None,
            },
        },
        What::IterationStarted { node, index } => Live::IterationStarted {
            node_id: node.clone(),
            index: *index,
        },
        What::IterationFinished {
            node,
            index,
            failed,
        } => Live::IterationFinished {
            node_id: node.clone(),
            index: *index,
            failed: *failed,
        },
        What::ErrorWorkflowStarted => Live::ErrorWorkflowStarted,
        What::NodeFinished {
            node,
            handle,
            output,
        } => Live::NodeFinished {
            node_id: node.clone(),
            handle: handle.clone(),
            output: output
                .clone()
                .or_else(|| output_in(step))
                .unwrap_or_default(),
        },
        What::NodeFailed {
            node,
            error,
            handled,
        } => Live::NodeFailed {
            node_id: node.clone(),
            error: error.clone(),
            handled: *handled,
        },
        What::NodeSkipped { node } => Live::NodeSkipped {
            node_id: node.clone(),
        },
        What::NodeCancelled { node } => Live::NodeCancelled {
            node_id: node.clone(),
        },
        _ => return None,
    })
}

/// What somebody who watches is told of a part of a log that begins with a step, each with its place in the log.
/// `kind_of` gives the type of a node.
pub fn told(log: &[Event], kind_of: &dyn Fn(&str) -> Option<String>) -> Vec<(u64, Live)> {
    let mut step = 0;
    let mut told = Vec::new();
    for (at, event) in log.iter().enumerate() {
        if matches!(event.what, What::AttemptFinished { .. }) {
            step = at;
        }
        let live = of(event, &log[step..=at], kind_of);
        told.extend(live.map(|live| (event.seq, live)));
    }
    told
}

fn result_in(step: &[Event]) -> Option<&AttemptResult> {
    match &step.first()?.what {
        What::AttemptFinished { result, .. } => Some(result),
        _ => None,
    }
}

fn output_in(step: &[Event]) -> Option<Value> {
    match result_in(step)? {
        AttemptResult::Ok { output, .. } => Some(output.clone()),
        _ => None,
    }
}
