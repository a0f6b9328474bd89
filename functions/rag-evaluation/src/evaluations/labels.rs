//! `PUT /api/v1/rag-evaluation/evaluations/{id}/labels`

use crate::EvaluationsWrite;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a person says about a result.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelInput {
    /// The item.
    item_id: String,
    /// The metric's name.
    metric: String,
    /// The score that it should have, on the metric's scale; null takes a label away.
    label: Option<f64>,
    /// At most 2,000 characters.
    #[serde(default)]
    comment: Option<String>,
}

/// Labels.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelsInput {
    /// 1 to 500.
    labels: Vec<LabelInput>,
}

impl Check for LabelsInput {
    fn check(&self, c: &mut Checker) {
        let some = (1..=500).contains(&self.labels.len());
        c.require(some, "/labels", "length", "1 to 500 labels");
        for (i, label) in self.labels.iter().enumerate() {
            let at = |field: &str| format!("/labels/{i}/{field}");
            let uuid = is_uuid(&label.item_id);
            c.require(uuid, &at("item_id"), "format", "must be a UUID");
            let comment = label.comment.as_deref().unwrap_or_default();
            c.length(comment, 0, 2_000, &at("comment"));
        }
    }
}

/// How many labels were stored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Labelled {
    /// How many.
    labelled: i64,
}

/// Stores what people say about results: all of it, or nothing. A label that was there is replaced.
pub async fn handle(
    caller: Caller<EvaluationsWrite>,
    PathId(id): PathId,
    Valid(input): Valid<LabelsInput>,
) -> Result<Reply<Labelled>, Problem> {
    let args = json!({"id": id, "labels": input.labels});
    let command = Command::named("evaluation_label", "evaluation", &id, args)
        .audit("evaluation.labelled", json!({}))
        .answer(200, &[], &json!({"labelled": 0}));
    caller.write(command).await.map(Reply::from)
}
