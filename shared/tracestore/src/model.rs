//! Traces as the API shows them.

use nodeai_store::{Column, tables::traces as col};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Columns of a trace.
pub const COLUMNS: &[Column] = &[
    col::trace_id,
    col::name,
    col::kind,
    col::status,
    col::started_at,
    col::duration_us,
    col::execution_id,
    col::workflow_id,
    col::user_id,
    col::span_count,
    col::prompt_tokens,
    col::completion_tokens,
    col::cost_pusd,
    col::error,
];

/// A trace as the store has it.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// 32 hex digits.
    pub trace_id: String,
    /// Name of the root span.
    pub name: String,
    /// `run`, `request` or `ingest`.
    pub kind: String,
    /// `ok`, `error` or `unset`.
    pub status: String,
    /// RFC 3339.
    pub started_at: String,
    /// µs.
    pub duration_us: i64,
    /// The execution, for runs.
    pub execution_id: Option<String>,
    /// The workflow, for runs of stored workflows.
    pub workflow_id: Option<String>,
    /// Who caused it.
    pub user_id: Option<String>,
    /// Number of spans.
    pub span_count: i64,
    /// Sum over the spans.
    pub prompt_tokens: i64,
    /// Sum over the spans.
    pub completion_tokens: i64,
    /// Pico-USD.
    pub cost_pusd: i64,
    /// What failed, for failed runs.
    pub error: Option<Value>,
}

/// A trace.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Trace {
    /// 32 hex digits.
    pub trace_id: String,
    /// Name of the root span.
    pub name: String,
    /// `run`, `request` or `ingest`.
    pub kind: String,
    /// `ok`, `error` or `unset`.
    pub status: String,
    /// RFC 3339.
    pub started_at: String,
    /// Milliseconds.
    pub duration_ms: f64,
    /// The execution, for runs.
    pub execution_id: Option<String>,
    /// The workflow, for runs of stored workflows.
    pub workflow_id: Option<String>,
    /// Who caused it.
    pub user_id: Option<String>,
    /// Number of spans.
    pub span_count: i64,
    /// Sum over the spans.
    pub prompt_tokens: i64,
    /// Sum over the spans.
    pub completion_tokens: i64,
    /// Micro-USD, rounded once from the exact sum.
    pub cost_usd_micros: i64,
    /// Exact USD as a decimal string.
    pub cost_usd: String,
    /// What failed, for failed runs.
    pub error: Option<Value>,
}

impl From<Row> for Trace {
    fn from(row: Row) -> Self {
        Self {
            trace_id: row.trace_id,
            name: row.name,
            kind: row.kind,
            status: row.status,
            started_at: row.started_at,
            duration_ms: row.duration_us as f64 / 1000.0,
            execution_id: row.execution_id,
            workflow_id: row.workflow_id,
            user_id: row.user_id,
            span_count: row.span_count,
            prompt_tokens: row.prompt_tokens,
            completion_tokens: row.completion_tokens,
            cost_usd_micros: nodeai_http::money::usd_micros(row.cost_pusd),
            cost_usd: nodeai_http::money::usd(row.cost_pusd),
            error: row.error,
        }
    }
}
