//! `POST /api/v1/rag-evaluation/datasets/{id}/from-traces`

use super::items::Added;
use crate::EvaluationsWrite;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Created, PathId, Valid, clock};
use nodeai_http::input::tokens;
use nodeai_http::{Check, Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A score that traces must have.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreFilter {
    /// Its name.
    name: String,
    /// At least.
    #[serde(default)]
    min: Option<f64>,
    /// At most.
    #[serde(default)]
    max: Option<f64>,
}

/// Which traces, and what of them. Without `trace_ids` the newest ones that fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FromTracesInput {
    /// These alone, 1 to 500.
    #[serde(default)]
    trace_ids: Option<Vec<String>>,
    /// Only runs of this workflow.
    #[serde(default)]
    workflow_id: Option<String>,
    /// Only from this time on, RFC 3339.
    #[serde(default)]
    from: Option<String>,
    /// Only before this time, RFC 3339.
    #[serde(default)]
    to: Option<String>,
    /// Only those with this score.
    #[serde(default)]
    score: Option<ScoreFilter>,
    /// Where the question is in what went into the root span, as a JSON pointer; all of it unless given.
    #[serde(default)]
    question: String,
    /// Where the expected answer is in what came out; nothing is expected unless given.
    #[serde(default)]
    expected: Option<String>,
    /// At most so many, 1 to 500; 100 unless given.
    #[serde(default)]
    limit: Option<u32>,
}

impl Check for FromTracesInput {
    fn check(&self, c: &mut Checker) {
        let ids = self.trace_ids.as_ref();
        let some = ids.is_none_or(|ids| (1..=500).contains(&ids.len()));
        c.require(some, "/trace_ids", "length", "1 to 500 traces");
        for (i, id) in ids.into_iter().flatten().enumerate() {
            let hex = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
            let at = format!("/trace_ids/{i}");
            c.require(hex, &at, "format", "must have 32 hex digits");
        }
        let uuid = self.workflow_id.as_deref().is_none_or(is_uuid);
        c.require(uuid, "/workflow_id", "format", "must be a UUID");
        for (at, time) in [("/from", &self.from), ("/to", &self.to)] {
            let read = time.as_deref().map(clock::parse_rfc3339);
            let holds = read != Some(None);
            c.require(holds, at, "format", "must be a time in RFC 3339");
        }
        for (at, place) in [
            ("/question", Some(&self.question)),
            ("/expected", self.expected.as_ref()),
        ] {
            if place.is_some_and(|place| !place.is_empty() && !place.starts_with('/')) {
                let detail = "must be a JSON pointer such as /question";
                c.report(FieldError::body(at, "format", detail));
            }
        }
        let limit = self.limit.is_none_or(|n| (1..=500).contains(&n));
        c.require(limit, "/limit", "range", "must be from 1 to 500");
    }
}

/// Takes question and answer of traces as items, as the dataset's next version. A trace comes into a dataset once; traces without a
/// question at that place are left out, and 409 when none is left.
pub async fn handle(
    caller: Caller<EvaluationsWrite>,
    PathId(id): PathId,
    Valid(input): Valid<FromTracesInput>,
) -> Result<Created<Added>, Problem> {
    let us = |time: &Option<String>| time.as_deref().and_then(clock::parse_rfc3339);
    let limit = match &input.trace_ids {
        Some(ids) => ids.len(),
        None => input.limit.unwrap_or(100) as usize,
    };
    let ids = input.trace_ids.as_ref();
    let ids = ids.map(|ids| ids.iter().map(|id| id.to_lowercase()).collect::<Vec<_>>());
    let args = json!({"dataset_id": id, "trace_ids": ids, "workflow_id": input.workflow_id, "from_us": us(&input.from),
        "to_us": us(&input.to), "score": input.score, "question": tokens(&input.question),
        "expected": input.expected.as_deref().map(tokens), "limit": limit});
    let location = format!("/api/v1/rag-evaluation/datasets/{id}/items");
    let command = Command::named("eval_from_traces", "dataset", &id, args)
        .audit("dataset.imported", json!({"from": "traces"}))
        .answer(
            201,
            &[("location", &location)],
            &json!({"added": 0, "version": 0}),
        );
    caller.write(command).await.map(Created::from)
}
