//! From a job's JSON to the answer's: 200 with a result, or a problem that says what failed.

use serde_json::{Value, json};

use crate::{Ended, Failure, Job, Line};

/// A status and a body.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, JSON.
    pub body: Value,
}

/// Reads a job.
///
/// # Errors
/// The answer that says what is wrong with it.
pub fn read(body: &[u8]) -> Result<Job, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer {
        status: 400,
        body: json!({"title": "Not a job", "status": 400, "detail": error.to_string()}),
    })
}

/// What a job came to.
pub fn of(ended: &Ended) -> Answer {
    match &ended.result {
        Ok(result) => Answer {
            status: 200,
            body: json!({"result": result, "logs": ended.logs, "steps": ended.steps}),
        },
        Err(failure) => failed(failure, &ended.logs),
    }
}

/// The answer of a job that failed, with what it wrote before.
pub fn failed(failure: &Failure, logs: &[Line]) -> Answer {
    Answer {
        status: 422,
        body: json!({"title": "The code failed", "status": 422, "detail": failure.message,
            "failure": failure, "logs": logs}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(job: Value) -> Answer {
        match read(job.to_string().as_bytes()) {
            Ok(job) => of(&crate::run(&job)),
            Err(answer) => answer,
        }
    }

    #[test]
    fn a_result_comes_with_what_was_logged() {
        let answer = answer(
            json!({"source": "console.log('hi'); return input.n * 2", "globals": {"input": {"n": 21}}}),
        );
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["result"], 42);
        assert_eq!(
            answer.body["logs"],
            json!([{"level": "info", "text": "hi"}])
        );
    }

    #[test]
    fn a_failure_says_where() {
        let answer = answer(json!({"source": "const a = 1;\nnull.x"}));
        assert_eq!(answer.status, 422);
        let failure = &answer.body["failure"];
        assert_eq!(
            (&failure["kind"], &failure["line"]),
            (&json!("thrown"), &json!(2))
        );
    }

    #[test]
    fn what_is_no_job_is_refused() {
        assert_eq!(answer(json!({"sources": ""})).status, 400);
        assert_eq!(answer(json!("code")).status, 400);
    }
}
