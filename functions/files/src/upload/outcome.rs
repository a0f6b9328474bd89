//! What the database answers to the steps of an upload.

use crate::model::Upload;
use nodeai_http::Problem;
use serde::Deserialize;

/// The answer of a step.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    outcome: String,
    /// The upload, where it was begun or taken up.
    #[serde(default)]
    pub upload: Option<Upload>,
    /// Where it is.
    #[serde(default)]
    pub offset: Option<u64>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    used: Option<u64>,
}

/// The answer when it is `wanted`. Errors: 404, 409, 413, 507.
pub fn expect(outcome: Outcome, wanted: &str) -> Result<Outcome, Problem> {
    if outcome.outcome == wanted {
        return Ok(outcome);
    }
    Err(match outcome.outcome.as_str() {
        "quota" => quota(&outcome),
        "missing" => Problem::not_found("there is no such upload, or it has expired"),
        "busy" => Problem::conflict("the organisation has 1000 uploads that have not ended"),
        "too_large" => Problem::too_large("the upload gets more bytes than it may have"),
        "length" => {
            Problem::invalid_input("Upload-Length is not what was said before, or does not fit")
        }
        "moved" => Problem::conflict("another request goes on with this upload"),
        other => {
            nodeai_app::errors::log("upload", other);
            Problem::internal("the store gave an answer that was not expected")
        }
    })
}

fn quota(outcome: &Outcome) -> Problem {
    let whose = match outcome.scope.as_deref() {
        Some("user") => "you",
        _ => "the organisation",
    };
    let (used, limit) = (outcome.used.unwrap_or(0), outcome.limit.unwrap_or(0));
    Problem::storage_quota_exceeded(format!(
        "{whose} may store {limit} bytes, {used} are used or held back for uploads; the file does not fit"
    ))
}
