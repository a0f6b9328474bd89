//! Where a job stands: an evaluation, an experiment, a synthesis.

use schemars::JsonSchema;
use serde::Deserialize;

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has begun.
    Queued,
    /// It is at work.
    Running,
    /// It has ended with a result.
    Succeeded,
    /// It could not go on, or came to nothing.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl State {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
