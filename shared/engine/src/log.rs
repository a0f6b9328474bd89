//! The run log: append-only events from which everything else about a run follows. Names
//! and fields are stable; recorded logs must replay for ever.

mod spend;
mod started;

use nodeai_llm::Usage;
use nodeai_telemetry::SpanId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::spend::{Spend, unsettled_of};
pub use self::started::{Labels, MOST_DEPTH, MOST_STEPS, RULES, Reused, RunStarted};
use crate::memory::{Keep, Turn};
use crate::nodes::LogLine;
use crate::template::TemplateError;

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the log, from 0, without gaps.
    pub seq: u64,
    /// When it was recorded, µs since the Unix epoch.
    pub at_us: i64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened. *Facts* come from outside; *decisions* follow from the facts before them.
///
/// A node inside a loop or a called workflow is named by its way there, one step per level:
/// `each[2]/call[0]/fetch`. One of the error workflow begins with `@error/`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// Fact: the run began.
    RunStarted(Box<RunStarted>),
    /// Decision: a node's turn has come.
    NodeScheduled {
        /// Node id.
        node: String,
    },
    /// Fact: an attempt at a node began.
    AttemptStarted {
        /// Node id.
        node: String,
        /// From 1.
        attempt: u32,
        /// The attempt's span.
        span_id: SpanId,
        /// What went in, rendered, with secrets blanked, cut to size.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
        /// What its first call to a model may cost, where the run has a limit and somebody else may have to go on with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most: Option<Spend>,
        /// Earlier turns of its conversation that its model is told of.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        recalled: Vec<Turn>,
    },
    /// Fact: an attempt ended.
    AttemptFinished {
        /// Node id.
        node: String,
        /// From 1.
        attempt: u32,
        /// How.
        result: AttemptResult,
        /// What is known of the call that it made.
        #[serde(default, skip_serializing_if = "CallMeta::is_empty")]
        call: Box<CallMeta>,
    },
    /// Decision: try again later.
    RetryScheduled {
        /// Node id.
        node: String,
        /// The attempt to come.
        attempt: u32,
        /// When, µs since the Unix epoch.
        due_us: i64,
    },
    /// Fact: the time of a retry has come.
    RetryDue {
        /// Node id.
        node: String,
    },
    /// Decision: the node waits, for a time or for somebody.
    NodeSuspended {
        /// Node id.
        node: String,
        /// Until when at the latest, µs since the Unix epoch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_us: Option<i64>,
    },
    /// Fact: the time is over that a node waits, or that a loop may take.
    WaitDue {
        /// Node id.
        node: String,
    },
    /// Fact: somebody answered a node that waits.
    NodeResumed {
        /// Node id.
        node: String,
        /// The node's output.
        output: Value,
        /// The handle whose edges are taken.
        handle: String,
    },
    /// Decision: the body of a loop, or the workflow that a node calls, begins.
    IterationStarted {
        /// The loop's node id.
        node: String,
        /// From 0.
        index: u32,
    },
    /// Decision: it ended.
    IterationFinished {
        /// The loop's node id.
        node: String,
        /// From 0.
        index: u32,
        /// Whether a node of it failed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        failed: bool,
    },
    /// Decision: the run has failed; its error workflow begins.
    ErrorWorkflowStarted,
    /// Decision: a node is done. Its output is the last attempt's, unless given here.
    NodeFinished {
        /// Node id.
        node: String,
        /// The handle whose edges are taken.
        handle: String,
        /// The output where it is not the attempt's: that of a handled failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<Value>,
    },
    /// Decision: a node's last attempt failed.
    NodeFailed {
        /// Node id.
        node: String,
        /// Why.
        error: NodeError,
        /// Whether the run goes on.
        handled: bool,
    },
    /// Decision: no edge to the node was taken.
    NodeSkipped {
        /// Node id.
        node: String,
    },
    /// Decision: the run ended while the node was at work.
    NodeCancelled {
        /// Node id.
        node: String,
    },
    /// Fact: somebody or something wants the run to end.
    RunCancelRequested {
        /// Who or what.
        reason: CancelReason,
    },
    /// Decision: the run is over.
    RunFinished {
        /// How.
        status: Status,
        /// The values of the output nodes, by name.
        outputs: Value,
        /// Why it did not succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<RunError>,
    },
}

impl What {
    /// Whether this came from outside.
    pub fn is_fact(&self) -> bool {
        matches!(
            self,
            Self::RunStarted(_)
                | Self::AttemptStarted { .. }
                | Self::AttemptFinished { .. }
                | Self::RetryDue { .. }
                | Self::WaitDue { .. }
                | Self::NodeResumed { .. }
                | Self::RunCancelRequested { .. }
        )
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum AttemptResult {
    /// It gave a value.
    Ok {
        /// The value.
        output: Value,
        /// The handle whose edges are taken.
        handle: String,
    },
    /// The node's body is to run, once for each of these: a loop's items, the inputs of a
    /// called workflow.
    Enter {
        /// What the iterations start from.
        items: Vec<Value>,
    },
    /// The node waits.
    Wait {
        /// For what.
        wait: Box<Wait>,
    },
    /// It did not.
    Error {
        /// Why.
        error: NodeError,
    },
}

/// What a node waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// Who ends it.
    pub kind: WaitKind,
    /// When it ends by itself, µs since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<i64>,
    /// What is asked, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// More about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Value>,
    /// The methods by which its address is answered; GET, POST and PUT without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What its address answers to whoever ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Value>,
}

/// Who or what ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// The time.
    Timer,
    /// A person.
    Approval,
    /// A request.
    Webhook,
}

/// Why an attempt did nothing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortcut {
    /// Its condition to be skipped held.
    SkipIf,
    /// Its output is pinned.
    Pinned,
    /// An earlier call with the same input had this result.
    Cache,
    /// The run that this one was forked from had this result.
    Reused,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct NodeError {
    /// Stable name: `config`, `expression`, `timeout`, `http_status`, `rate_limited`, ….
    pub kind: String,
    /// For people, without secrets.
    pub message: String,
    /// Whether another attempt may succeed.
    #[serde(default)]
    pub retryable: bool,
    /// How long the other side asks to wait, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl NodeError {
    /// An error of this kind.
    pub fn new(kind: &str, message: impl Into<String>, retryable: bool) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
            retryable,
            retry_after_ms: None,
        }
    }

    /// A config that, rendered, is not valid.
    pub fn config(message: String) -> Self {
        Self::new("config", message, false)
    }

    /// A template that cannot be rendered.
    pub fn template(field: &str, error: &TemplateError) -> Self {
        Self::new("expression", format!("/{field}: {error}"), false)
    }

    /// The same of one item of a list, by its position from 0.
    pub(crate) fn of_item(self, at: usize) -> Self {
        let message = match self.message.split_once(": ") {
            Some((field, rest)) => format!("{field}: item {at}: {rest}"),
            None => format!("item {at}: {}", self.message),
        };
        Self { message, ..self }
    }

    /// An attempt that ran out of time.
    pub fn timeout(timeout_ms: u64) -> Self {
        Self::new("timeout", format!("no answer within {timeout_ms} ms"), true)
    }

    /// An attempt of which a crash left no trace.
    pub fn lost() -> Self {
        Self::new(
            LOST,
            "the attempt was lost when the run was interrupted",
            true,
        )
    }
}

/// The kind of a lost attempt: it is tried again whatever the node's retry setting says.
pub(crate) const LOST: &str = "lost";

impl From<nodeai_llm::Error> for NodeError {
    fn from(error: nodeai_llm::Error) -> Self {
        Self {
            kind: error.kind.as_str().to_owned(),
            message: error.message,
            retryable: error.retryable,
            retry_after_ms: error.retry_after_ms,
        }
    }
}

/// What is known of a call to outside; the source of a span's attributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallMeta {
    /// LLM provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Model asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    /// Model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// The provider's id of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// Why the model stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Cost in pico-USD; none when the price is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_pusd: Option<i64>,
    /// What it may have cost beside that: calls that ended without telling, counted in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Spend>,
    /// The prices by which it was reckoned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_version: Option<String>,
    /// Time to the first token, in µs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_us: Option<i64>,
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_method: Option<String>,
    /// URL without query and credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Why there was no call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortcut: Option<Shortcut>,
    /// What code wrote to its console.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLine>,
    /// Which turn of a conversation is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Box<Keep>>,
}

impl CallMeta {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a run is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The caller asked for it.
    Requested,
    /// Nobody listens any more.
    ClientGone,
    /// The run's time is over.
    Timeout,
    /// The server shuts down.
    Shutdown,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every node was done or skipped.
    Succeeded,
    /// A node failed, or the time was over.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl Status {
    /// The name in answers and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a run did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The node that failed; none when the run as a whole did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The way to it, when it is inside a loop or a called workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Stable name.
    pub kind: String,
    /// For people.
    pub message: String,
}
