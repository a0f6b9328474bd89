//! `GET /api/v1/rag-evaluation/metrics`

use crate::EvaluationsRead;
use nodeai_app::Caller;
use nodeai_evaluation::metric::{Kind, MetricInput};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::Serialize;

/// What each metric measures.
const METRICS: [(&str, &str); 24] = [
    ("exact_match", "The answer is the expected one"),
    ("contains", "The answer holds the expected text"),
    ("regex", "The answer matches `pattern`"),
    (
        "json_equal",
        "The answer is the same JSON value as the expected one",
    ),
    (
        "numeric",
        "The answer's first number is within `tolerance` of the expected one",
    ),
    (
        "token_f1",
        "Words in common with the expected answer, normalised as by SQuAD",
    ),
    (
        "rouge_l",
        "Longest common subsequence of words with the expected answer, F1",
    ),
    ("latency_ms", "How long the run took, ms"),
    ("cost_usd", "What the run cost, USD"),
    (
        "precision@5",
        "Relevant ones among the first 5 that were retrieved; any k",
    ),
    (
        "recall@10",
        "Relevant ones among the first 10, of all relevant ones; any k",
    ),
    ("map", "Average precision, also `map@k`"),
    (
        "ndcg@10",
        "Normalised discounted cumulative gain, as trec_eval; any k, or none",
    ),
    ("mrr", "1 / rank of the first relevant one"),
    (
        "hit_rate@5",
        "Whether a relevant one is among the first 5; any k",
    ),
    (
        "faithfulness",
        "Statements of the answer that the contexts support",
    ),
    (
        "answer_relevancy",
        "How near `questions` that the answer would fit are to the one asked, by embeddings; 0 when it evades",
    ),
    (
        "context_precision",
        "Whether contexts that were useful for the expected answer come first",
    ),
    (
        "context_recall",
        "Sentences of the expected answer that the contexts support",
    ),
    (
        "factual_correctness",
        "Claims in common with the expected answer: `part` precision, recall or f1 (`beta`), to two digits",
    ),
    (
        "answer_correctness",
        "Statements in common with the expected answer, and similarity to it, by `weights`",
    ),
    (
        "semantic_similarity",
        "Cosine of the embeddings of the answer and the expected one",
    ),
    (
        "noise_sensitivity",
        "Wrong statements of the answer that `contexts` (relevant or irrelevant) support",
    ),
    (
        "rubric",
        "By the words of `rubric`, on the `scale` 1-5 or 0-1",
    ),
];

/// A metric.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetricInfo {
    /// Its name.
    metric: &'static str,
    /// What it measures.
    description: &'static str,
    /// Whether it asks a judge's model.
    judge: bool,
    /// Whether it asks an embedding model.
    embeddings: bool,
    /// Whether it needs the contexts that the answer rests on.
    needs_contexts: bool,
    /// Whether a lower score is the better one.
    lower_is_better: bool,
}

/// What can be measured. Formulas of judged metrics are those of ragas, of retrieval those of trec_eval.
pub async fn handle(caller: Caller<EvaluationsRead>) -> Result<Json<Page<MetricInfo>>, Problem> {
    caller.session.release();
    let info = |(metric, description): &(&'static str, &'static str)| {
        let spec = MetricInput::Name((*metric).to_owned()).spec();
        let needs = match spec.kind() {
            Some(Kind::Judged(judged)) => Some(judged.needs()),
            _ => None,
        };
        MetricInfo {
            metric,
            description,
            judge: needs.is_some_and(|needs| needs.model),
            embeddings: needs.is_some_and(|needs| needs.embeddings),
            needs_contexts: needs.is_some_and(|needs| needs.contexts),
            lower_is_better: spec.lower_is_better(),
        }
    };
    Ok(Json::ok(Page {
        data: METRICS.iter().map(info).collect(),
        next_cursor: None,
    }))
}
