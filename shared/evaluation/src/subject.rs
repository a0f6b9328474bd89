//! What is scored: judgements and results of a request.

use nodeai_http::input::escape;
use nodeai_http::{Checker, FieldError};
use nodeai_rag::metrics::{Hit, Metric};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::retrieval::Results;

/// Most queries of a request, and results of a query.
const QUERIES: usize = 5_000;
const RESULTS: usize = 1_000;
/// Metrics when none are asked for.
const USUAL: [&str; 6] = [
    "ndcg@10",
    "map",
    "mrr",
    "precision@5",
    "recall@10",
    "hit_rate@5",
];

/// Relevant documents by query, each with its grade: 1 and above is relevant.
pub type JudgementsInput = BTreeMap<String, BTreeMap<String, i64>>;

/// One result.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HitInput {
    /// The document.
    id: String,
    /// Higher is better; the order counts where no result of the query has one.
    #[serde(default)]
    score: Option<f64>,
}

/// Results by query, best first.
pub type ResultsInput = BTreeMap<String, Vec<HitInput>>;

/// Judged queries.
pub fn judgements(c: &mut Checker, judged: &JudgementsInput) {
    let some = (1..=QUERIES).contains(&judged.len());
    c.require(some, "/judgements", "length", "1 to 5000 queries");
}

/// Results: all of a query have a score, or none.
pub fn results(c: &mut Checker, found: &ResultsInput, at: &str) {
    c.require(found.len() <= QUERIES, at, "length", "at most 5000 queries");
    for (query, hits) in found {
        let pointer = format!("{at}/{}", escape(query));
        c.require(
            hits.len() <= RESULTS,
            &pointer,
            "length",
            "at most 1000 results",
        );
        let scored = hits.iter().filter(|hit| hit.score.is_some()).count();
        let uniform = scored == 0 || scored == hits.len();
        c.require(
            uniform,
            &pointer,
            "mixed",
            "all results have a score, or none",
        );
    }
}

/// Metrics by name.
pub fn metrics(c: &mut Checker, names: &[String]) {
    c.require(names.len() <= 50, "/metrics", "too_many", "at most 50");
    for (i, name) in names.iter().enumerate() {
        if Metric::parse(name).is_none() {
            let detail = "precision@k, recall@k, map, map@k, ndcg, ndcg@k, mrr or hit_rate@k";
            c.report(FieldError::body(format!("/metrics/{i}"), "unknown", detail));
        }
    }
}

/// The metrics asked for, or the usual ones.
pub fn wanted(names: &[String]) -> Vec<Metric> {
    match names.is_empty() {
        true => USUAL
            .iter()
            .filter_map(|name| Metric::parse(name))
            .collect(),
        false => names
            .iter()
            .filter_map(|name| Metric::parse(name))
            .collect(),
    }
}

/// Results as they are scored.
pub fn found(input: ResultsInput) -> Results {
    let hits = |hits: Vec<HitInput>| -> Vec<Hit> {
        let ranked = hits.into_iter().enumerate();
        ranked
            .map(|(at, hit)| Hit {
                id: hit.id,
                score: hit.score.unwrap_or(-(at as f64)),
            })
            .collect()
    };
    input
        .into_iter()
        .map(|(query, found)| (query, hits(found)))
        .collect()
}
