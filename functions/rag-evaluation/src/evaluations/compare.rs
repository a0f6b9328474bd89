//! `POST /api/v1/rag-evaluation/evaluations/compare`

use crate::EvaluationsRead;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Scope, Valid};
use nodeai_evaluation::summary::{Evaluated, versus};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Two evaluations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareInput {
    /// An evaluation: what there was.
    first: String,
    /// Another one: what there might be.
    second: String,
    /// The same seed gives the same intervals and p-values.
    #[serde(default)]
    seed: u64,
}

impl Check for CompareInput {
    fn check(&self, c: &mut Checker) {
        for (at, id) in [("/first", &self.first), ("/second", &self.second)] {
            c.require(is_uuid(id), at, "format", "must be a UUID");
        }
    }
}

/// The scores of an evaluation that has ended. Errors: 404; 409 while it is at work.
pub async fn ended<S: Scope>(caller: &Caller<S>, id: &str) -> Result<Evaluated, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let found: Option<Evaluated> = caller.call("evaluation_scores", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such evaluation"))?;
    match found.status.as_str() {
        "queued" | "running" => {
            let why = format!("the evaluation {id} is at work; ask again when it has ended");
            Err(Problem::conflict(why).retry_after(5))
        }
        _ => Ok(found),
    }
}

/// For each metric that both have, on the items that both have a score of: the difference, its paired bootstrap interval, p by a paired
/// randomisation test, p by Holm for all metrics, and a verdict. Metrics whose settings differ are not compared.
pub async fn handle(
    caller: Caller<EvaluationsRead>,
    Valid(input): Valid<CompareInput>,
) -> Result<Json<Page<Value>>, Problem> {
    let first = ended(&caller, &input.first).await?;
    let second = ended(&caller, &input.second).await?;
    caller.session.release();
    let compared = versus(&first, &second, input.seed);
    Ok(Json::ok(Page {
        data: compared.iter().map(|one| json!(one)).collect(),
        next_cursor: None,
    }))
}
