//! Why a piece of work did not get on, and whether another try may help.

use nodeai_http::Problem;
use serde_json::{Value, json};

/// Why it did not get on.
#[derive(Debug)]
pub enum Trouble {
    /// Somebody else has the job, or it is gone.
    Lost,
    /// What was put aside is not what it was taken for: from the beginning.
    Restart,
    /// The store or the host failed: the lease runs out, and the job is taken up again.
    Broken(Problem),
    /// A budget is used up; the problem says which.
    UsedUp(Problem),
    /// Another try may help, not before so many ms.
    Later(Why, Option<u64>),
    /// It cannot succeed until somebody changes something.
    Never(Why),
}

/// A reason, as documents show it.
#[derive(Debug, Clone)]
pub struct Why {
    /// Stable name.
    pub kind: String,
    /// For a person.
    pub message: String,
}

/// Kinds of failures of a run after which the same would come again.
const FINAL: [&str; 13] = [
    "authentication",
    "quota_exceeded",
    "invalid_request",
    "not_found",
    "secret_missing",
    "secret_host_refused",
    "budget_exceeded",
    "budget_unpriced",
    "url_refused",
    "config",
    "expression",
    "dimensions",
    "internal",
];

impl Trouble {
    /// It cannot succeed.
    pub fn never(kind: &str, message: impl Into<String>) -> Self {
        Self::Never(Why::new(kind, message))
    }

    /// Another try may help.
    pub fn later(kind: &str, message: impl Into<String>) -> Self {
        Self::Later(Why::new(kind, message), None)
    }

    /// What a run that failed means.
    pub fn of_run(kind: &str, message: &str) -> Self {
        match FINAL.contains(&kind) {
            true => Self::never(kind, message),
            false => Self::later(kind, message),
        }
    }

    /// What a request that was refused means: a budget that is used up is not there again by waiting a little.
    pub fn of_problem(problem: Problem) -> Self {
        let detail = problem.detail.clone();
        let message = detail.unwrap_or_else(|| problem.title.clone());
        match problem.status {
            402 => Self::UsedUp(problem),
            400 | 403 | 422 => Self::never("refused", message),
            _ => Self::Broken(problem),
        }
    }

    /// As an answer to whoever waits for it.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Broken(problem) | Self::UsedUp(problem) => problem,
            Self::Later(why, _) => Problem::run_failed(why.message).retry_after(2),
            Self::Never(why) if why.kind == "budget_exceeded" => {
                Problem::budget_exceeded(why.message)
            }
            Self::Never(why) => Problem::run_failed(format!("{}: {}", why.kind, why.message)),
            Self::Lost | Self::Restart => Problem::internal("this was no job"),
        }
    }
}

impl Why {
    /// A reason.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
        }
    }

    /// As it is stored.
    pub fn stored(&self) -> Value {
        json!({"kind": self.kind, "message": self.message.replace('\0', "\u{fffd}")})
    }
}
