//! The first event of a run: what it starts from, and its bounds.

use std::collections::BTreeMap;

use nodeai_telemetry::{SpanId, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The execution's id.
    pub execution_id: String,
    /// The run's trace.
    pub trace_id: TraceId,
    /// The run's own span.
    pub span_id: SpanId,
    /// The span of the request that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// The workflow's name.
    #[serde(default)]
    pub name: String,
    /// The inputs, checked and with defaults, secrets blanked.
    pub inputs: Value,
    /// SHA-256 of what the document means, in hex: a log replays only on the same document.
    pub definition_hash: String,
    /// Where the waits between retries come from.
    pub seed: u32,
    /// Most attempts at the same time.
    pub max_concurrency: u32,
    /// How deep workflows may call workflows.
    #[serde(default = "most_depth", skip_serializing_if = "is_most_depth")]
    pub max_depth: u32,
    /// Most nodes that may run, each iteration's counted anew.
    #[serde(default = "most_steps", skip_serializing_if = "is_most_steps")]
    pub max_steps: u64,
    /// Which of the engine's rules the run follows: those of [`RULES`], or of a version before it.
    #[serde(default, skip_serializing_if = "is_first")]
    pub rules: u32,
    /// What nodes gave in another run, by node: taken here in place of their work.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reused: BTreeMap<String, Reused>,
    /// By what its spans are found and counted.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// What the caller says of a run, for its spans: nodes see nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// The session or conversation that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The caller's own user for whom it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The version of the prompt that its model calls are made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<String>,
}

impl Labels {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a node gave in another run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reused {
    /// Its output.
    pub output: Value,
    /// The handle whose edges were taken.
    pub handle: String,
}

/// The rules of runs that begin now. A log replays by the rules it was written by:
///
/// - 0: a node puts up with three lost attempts; the error workflow is for nodes that fail;
/// - 1: it puts up with more than hosts are given before a run is a dead letter, several times over; the error workflow
///   also runs when the run takes too long or runs too many nodes.
pub const RULES: u32 = 1;

/// How deep workflows may call workflows where nothing else is said.
pub const MOST_DEPTH: u32 = 10;
/// Most nodes that one run may run where nothing else is said.
pub const MOST_STEPS: u64 = 1_000_000;

fn most_depth() -> u32 {
    MOST_DEPTH
}

fn is_most_depth(depth: &u32) -> bool {
    *depth == MOST_DEPTH
}

fn most_steps() -> u64 {
    MOST_STEPS
}

fn is_most_steps(steps: &u64) -> bool {
    *steps == MOST_STEPS
}

fn is_first(rules: &u32) -> bool {
    *rules == 0
}
