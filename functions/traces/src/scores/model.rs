//! A score as the API shows it.

use nodeai_http::Checker;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Scores of traces.
    trace_scores {
        id: Uuid, org_id: Uuid, trace_id: Text, span_id: Text, name: Text, source: Text, score: Text, label: Text,
        comment: Text, version: Int, created_by: Uuid, created_at: Time, updated_at: Time,
    }
}
pub use trace_scores as col;

/// Columns of a score.
pub const COLUMNS: &[Column] = &[
    col::id,
    col::trace_id,
    col::span_id,
    col::name,
    col::source,
    col::score,
    col::label,
    col::comment,
    col::version,
    col::created_by,
    col::created_at,
    col::updated_at,
];

/// Who judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A person.
    Human,
    /// A program.
    Code,
    /// A model.
    Judge,
}

/// A score or a comment.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// UUID.
    pub id: String,
    /// The trace.
    pub trace_id: String,
    /// The span, when it is about one.
    pub span_id: Option<String>,
    /// What is judged, such as `helpful`.
    pub name: String,
    /// Who judged.
    pub source: Source,
    /// A number.
    pub score: Option<f64>,
    /// A word instead of a number, such as `good`.
    pub label: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Counts the changes.
    pub version: i64,
    /// Who wrote it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// The rules of what is said.
pub fn check_said(c: &mut Checker, label: Option<&str>, comment: Option<&str>) {
    if let Some(label) = label {
        c.length(label, 1, 200, "/label");
    }
    if let Some(comment) = comment {
        c.length(comment, 1, 10_000, "/comment");
    }
}
