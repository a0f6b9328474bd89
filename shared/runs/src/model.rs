//! Runs as the API shows them.

use nodeai_engine::RunError;
use nodeai_http::money;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tokens and cost of a run.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens read by models.
    pub prompt_tokens: i64,
    /// Tokens written by models.
    pub completion_tokens: i64,
    /// Micro-USD, rounded once from the exact sum.
    pub cost_usd_micros: i64,
}

impl Usage {
    /// From the stored sums; cost in pico-USD.
    pub fn new(prompt_tokens: i64, completion_tokens: i64, cost_pusd: i64) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            cost_usd_micros: money::usd_micros(cost_pusd),
        }
    }
}

/// Why a run did not succeed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunFailure {
    /// The node that failed; absent when the run as a whole did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The way to it, when it is inside a loop or a called workflow, such as `each[2]/fetch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Stable name of the cause, such as `timeout` or `http_status`.
    pub kind: String,
    /// For a person.
    pub message: String,
}

impl From<RunError> for RunFailure {
    fn from(error: RunError) -> Self {
        Self {
            node_id: error.node_id,
            path: error.path,
            kind: error.kind,
            message: error.message,
        }
    }
}

/// A run that has ended.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunResult {
    /// The run.
    pub execution_id: String,
    /// Its trace, 32 hex digits.
    pub trace_id: String,
    /// `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// Values of the output nodes.
    pub outputs: Value,
    /// Tokens and cost.
    pub usage: Usage,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<RunFailure>,
}

/// The run that another one was forked from.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ForkedFrom {
    /// The run; it may be gone meanwhile.
    pub execution_id: String,
    /// The node from which on this one really ran.
    pub node: String,
}

/// An execution as the store's functions give it.
#[derive(Debug, Clone, Deserialize)]
pub struct Stored {
    pub id: String,
    pub workflow_id: Option<String>,
    pub workflow_version: Option<i64>,
    #[serde(default)]
    pub deployment_id: Option<String>,
    #[serde(default)]
    pub deployment_version: Option<i64>,
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub variables: Option<Value>,
    #[serde(default)]
    pub forked_from: Option<ForkedFrom>,
    #[serde(default)]
    pub error_of: Option<String>,
    pub trace_id: String,
    pub status: String,
    pub mode: String,
    #[serde(default)]
    pub inputs: Value,
    #[serde(default)]
    pub outputs: Value,
    #[serde(default)]
    pub error: Option<RunFailure>,
    #[serde(default)]
    pub prompt_tokens: i64,
    #[serde(default)]
    pub completion_tokens: i64,
    #[serde(default)]
    pub cost_pusd: i64,
    #[serde(default)]
    pub created_us: Option<i64>,
    #[serde(default)]
    pub started_us: Option<i64>,
    #[serde(default)]
    pub finished_us: Option<i64>,
    #[serde(default)]
    pub waits: Vec<Waiting>,
    #[serde(default)]
    pub span_id: Option<String>,
    #[serde(default)]
    pub parent_span_id: Option<String>,
    #[serde(default)]
    pub lease_token: Option<i64>,
    #[serde(default)]
    pub cancel_requested: bool,
    #[serde(default)]
    pub attempts: i64,
    #[serde(default)]
    pub priority: i32,
    #[serde(default)]
    pub concurrency_key: Option<String>,
    #[serde(default)]
    pub run_after_us: Option<i64>,
    #[serde(default)]
    pub dead_us: Option<i64>,
}

/// A node that waits for a time or for somebody.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The node; inside a loop with the way to it, such as `each[2]/ask`.
    pub node: String,
    /// `timer`, `approval` or `webhook`.
    pub kind: String,
    /// When it ends by itself, µs since 1970.
    #[serde(default)]
    pub until_us: Option<i64>,
    /// What is asked.
    #[serde(default)]
    pub title: Option<String>,
    /// More about it.
    #[serde(default)]
    pub description: Option<String>,
    /// JSON Schema of the answer's data.
    #[serde(default)]
    pub form: Option<Value>,
    /// Of a webhook: where it is answered without a credential, for callers who may answer it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The methods that this address takes; GET, POST and PUT without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What this address answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Value>,
}

impl Stored {
    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "failed" | "cancelled")
    }

    /// As the answer of a run.
    pub fn result(self) -> RunResult {
        RunResult {
            execution_id: self.id,
            trace_id: self.trace_id,
            status: self.status,
            outputs: self.outputs,
            usage: Usage::new(self.prompt_tokens, self.completion_tokens, self.cost_pusd),
            error: self.error,
        }
    }
}
