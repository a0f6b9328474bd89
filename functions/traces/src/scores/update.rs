//! `PATCH /api/v1/traces/{trace_id}/scores/{id}`

use super::known_trace;
use super::model::{COLUMNS, Score, check_said, col};
use crate::TracesWrite;
use nodeai_app::{Caller, IfMatch, Op, PathId, Reply, Valid, Write};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScorePatch {
    /// A number; null for none.
    #[serde(default, deserialize_with = "present")]
    score: Option<Option<f64>>,
    /// A word; null for none.
    #[serde(default, deserialize_with = "present")]
    label: Option<Option<String>>,
    /// Why; null for nothing.
    #[serde(default, deserialize_with = "present")]
    comment: Option<Option<String>>,
}

impl Check for ScorePatch {
    fn check(&self, c: &mut Checker) {
        let text = |field: &Option<Option<String>>| field.clone().flatten();
        check_said(
            c,
            text(&self.label).as_deref(),
            text(&self.comment).as_deref(),
        );
    }
}

impl ScorePatch {
    fn row(self) -> Map<String, Value> {
        let columns = [
            ("score", self.score.map(|score| json!(score))),
            ("label", self.label.map(|label| json!(label))),
            ("comment", self.comment.map(|comment| json!(comment))),
        ];
        let given = columns.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// 404 unless the score is one of that trace.
pub async fn require_score(caller: &Caller<TracesWrite>, id: &str) -> Result<(), Problem> {
    let trace_id = known_trace(caller).await?;
    let select = Select::from(col::TABLE, COLUMNS)
        .filter(Filter::Eq(col::id, id.to_owned()))
        .filter(Filter::Eq(col::trace_id, trace_id));
    caller.find::<Score>(select, "score").await.map(|_| ())
}

/// Changes what is said, not about what or by whom.
pub async fn handle(
    caller: Caller<TracesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<ScorePatch>,
) -> Result<Reply<Score>, Problem> {
    require_score(&caller, &id).await?;
    let write = Write::new(Op::Update, "trace_scores", "score", &id)
        .row(Value::Object(patch.row()))
        .expect_version(expected)
        .returning(COLUMNS)
        .audit("trace.score_changed", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
