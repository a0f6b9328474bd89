//! `POST /api/v1/rag-evaluation/compare`

use crate::EvaluationsRun;
use nodeai_app::{Caller, Valid};
use nodeai_evaluation::retrieval;
use nodeai_evaluation::subject::{self, JudgementsInput, ResultsInput};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// What to compare.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareInput {
    /// `{query: {document: grade}}`; 1 and above is relevant.
    judgements: JudgementsInput,
    /// What the first retriever found: `{query: [{id, score?}, …]}`.
    first: ResultsInput,
    /// What the second one found.
    second: ResultsInput,
    /// See `POST /api/v1/rag-evaluation/score`.
    #[serde(default)]
    metrics: Vec<String>,
    /// The same seed gives the same intervals and p-values.
    #[serde(default)]
    seed: u64,
}

impl Check for CompareInput {
    fn check(&self, c: &mut Checker) {
        subject::judgements(c, &self.judgements);
        subject::results(c, &self.first, "/first");
        subject::results(c, &self.second, "/second");
        subject::metrics(c, &self.metrics);
    }
}

/// The difference of the means on the same queries, with a paired bootstrap interval, p by a paired randomisation test, and p after
/// Holm's correction for all metrics.
pub async fn handle(
    caller: Caller<EvaluationsRun>,
    Valid(input): Valid<CompareInput>,
) -> Result<Json<Page<Value>>, Problem> {
    caller.session.release();
    let metrics = subject::wanted(&input.metrics);
    let (first, second) = (subject::found(input.first), subject::found(input.second));
    let compared = retrieval::versus(&input.judgements, (&first, &second), &metrics, input.seed);
    Ok(Json::ok(Page {
        data: compared.iter().map(|one| json!(one)).collect(),
        next_cursor: None,
    }))
}
