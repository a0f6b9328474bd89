//! `POST /api/v1/traces/{trace_id}/scores`

use super::known_trace;
use super::model::{COLUMNS, Score, Source, check_said};
use crate::TracesWrite;
use nodeai_app::{Caller, Created, Op, Valid, Write, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A score, a label, a comment, or several of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreInput {
    /// What is judged: 1 to 100 characters.
    name: String,
    /// Who judges: `human` unless given.
    #[serde(default)]
    source: Option<Source>,
    /// The span that it is about: 16 hex digits; the whole trace without.
    #[serde(default)]
    span_id: Option<String>,
    /// A number.
    #[serde(default)]
    score: Option<f64>,
    /// A word instead of a number: up to 200 characters.
    #[serde(default)]
    label: Option<String>,
    /// Why: up to 10,000 characters.
    #[serde(default)]
    comment: Option<String>,
}

impl Check for ScoreInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 100, "/name");
        let hex = |id: &str| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
        c.require(
            self.span_id.as_deref().is_none_or(hex),
            "/span_id",
            "format",
            "must be 16 hex digits",
        );
        let some = self.score.is_some() || self.label.is_some() || self.comment.is_some();
        c.require(
            some,
            "/score",
            "required",
            "give a score, a label or a comment",
        );
        check_said(c, self.label.as_deref(), self.comment.as_deref());
    }
}

/// Writes the score; anybody who may write traces may add one.
pub async fn handle(
    caller: Caller<TracesWrite>,
    Valid(input): Valid<ScoreInput>,
) -> Result<Created<Score>, Problem> {
    let trace_id = known_trace(&caller).await?;
    let id = clock::new_id();
    let location = format!("/api/v1/traces/{trace_id}/scores/{id}");
    let row = json!({"trace_id": trace_id, "span_id": input.span_id.map(|id| id.to_ascii_lowercase()),
        "name": input.name, "source": input.source.unwrap_or(Source::Human), "score": input.score,
        "label": input.label, "comment": input.comment});
    let write = Write::new(Op::Insert, "trace_scores", "score", &id)
        .row(row)
        .returning(COLUMNS)
        .audit("trace.scored", json!({"trace_id": trace_id}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}
