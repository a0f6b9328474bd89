//! `POST /api/v1/rag-evaluation/score`

use crate::EvaluationsRun;
use nodeai_app::{Caller, Valid};
use nodeai_evaluation::retrieval;
use nodeai_evaluation::subject::{self, JudgementsInput, ResultsInput};
use nodeai_http::page::Page;
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// What to score.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreInput {
    /// `{query: {document: grade}}`; 1 and above is relevant.
    judgements: JudgementsInput,
    /// `{query: [{id, score?}, …]}`, best first.
    results: ResultsInput,
    /// `precision@k`, `recall@k`, `map`, `map@k`, `ndcg`, `ndcg@k`, `mrr`, `hit_rate@k`; the usual ones unless given.
    #[serde(default)]
    metrics: Vec<String>,
    /// The same seed gives the same intervals.
    #[serde(default)]
    seed: u64,
}

impl Check for ScoreInput {
    fn check(&self, c: &mut Checker) {
        subject::judgements(c, &self.judgements);
        subject::results(c, &self.results, "/results");
        subject::metrics(c, &self.metrics);
    }
}

/// Each metric as trec_eval defines it, with n and a 95 % bootstrap interval, and the score of each query. A judged query without
/// results counts as 0.
pub async fn handle(
    caller: Caller<EvaluationsRun>,
    Valid(input): Valid<ScoreInput>,
) -> Result<Json<Page<Value>>, Problem> {
    caller.session.release();
    let metrics = subject::wanted(&input.metrics);
    let found = subject::found(input.results);
    let scored = retrieval::score(&input.judgements, &found, &metrics, input.seed);
    Ok(Json::ok(Page {
        data: scored.iter().map(|one| json!(one)).collect(),
        next_cursor: None,
    }))
}
