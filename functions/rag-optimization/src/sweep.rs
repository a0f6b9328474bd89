//! `POST /api/v1/rag-optimization/sweep`

use crate::OptimizationsRun;
use nodeai_app::{Caller, Valid};
use nodeai_evaluation::retrieval::Results;
use nodeai_evaluation::subject::{self, JudgementsInput, ResultsInput};
use nodeai_evaluation::sweep::{MOST_SETTINGS, Setting, Space, sweep};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_rag::metrics::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most retrievers, and settings times queries.
const RETRIEVERS: usize = 10;
const WORK: usize = 500_000;

/// What to try on what.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepInput {
    /// `{query: {document: grade}}`; 1 and above is relevant.
    judgements: JudgementsInput,
    /// What each retriever found: `{retriever: {query: [{id, score?}, …]}}`, best first; at most 10 retrievers.
    candidates: BTreeMap<String, ResultsInput>,
    /// The setting in use.
    baseline: Setting,
    /// What to try: every combination, at most 2,000.
    space: Space,
    /// By which metric; `ndcg@10` unless given.
    #[serde(default)]
    metric: Option<String>,
    /// The same seed gives the same outcome.
    #[serde(default)]
    seed: u64,
}

impl Check for SweepInput {
    fn check(&self, c: &mut Checker) {
        subject::judgements(c, &self.judgements);
        let some = (1..=RETRIEVERS).contains(&self.candidates.len());
        c.require(some, "/candidates", "length", "1 to 10 retrievers");
        for (name, found) in &self.candidates {
            let pointer = format!("/candidates/{}", nodeai_http::input::escape(name));
            subject::results(c, found, &pointer);
        }
        let size = self.space.size();
        let few = (1..=MOST_SETTINGS).contains(&size);
        c.require(few, "/space", "too_many", "1 to 2000 combinations");
        let work = size.saturating_mul(self.judgements.len()) <= WORK;
        c.require(
            work,
            "/space",
            "too_many",
            "combinations times queries: at most 500000",
        );
        let weights = self.space.weights.values().flatten();
        let weights = weights.chain(self.baseline.weights.values());
        let fine = weights
            .into_iter()
            .all(|weight| (0.0..=1_000.0).contains(weight));
        c.require(fine, "/space/weights", "out_of_range", "0 to 1000");
        let constants = self.space.rrf_k.iter().chain(&self.baseline.rrf_k);
        let fine = constants.into_iter().all(|k| (1.0..=10_000.0).contains(k));
        c.require(fine, "/space/rrf_k", "out_of_range", "1 to 10000");
        let mut limits = self.space.limit.iter().chain([&self.baseline.limit]);
        let fine = limits.all(|limit| (1..=1_000).contains(limit));
        c.require(fine, "/space/limit", "out_of_range", "1 to 1000");
        let known = self
            .metric
            .as_deref()
            .is_none_or(|name| Metric::parse(name).is_some());
        c.require(
            known,
            "/metric",
            "unknown",
            "such as ndcg@10, mrr, recall@5",
        );
    }
}

/// What came out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Swept {
    /// `gain`, or `no significant gain`.
    verdict: &'static str,
    /// The setting that is really better; null when no gain is significant.
    winner: Option<Setting>,
    /// The best settings of the search, held against the baseline on queries that the search has not seen: `setting`,
    /// `difference`, `interval`, `p`, `p_holm`, `better`, `worse`.
    finalists: Vec<Value>,
    /// How many settings were tried; those that come to the same count once.
    settings: usize,
    /// Queries of the search, and of the verdict.
    questions: (usize, usize),
}

/// Tries all settings on three fifths of the queries, and holds the best against the baseline on the rest: a winner's interval is
/// above zero and its p, by Holm, below 0.05.
pub async fn handle(
    caller: Caller<OptimizationsRun>,
    Valid(input): Valid<SweepInput>,
) -> Result<Json<Swept>, Problem> {
    caller.session.release();
    let metric = input.metric.as_deref().unwrap_or("ndcg@10");
    let metric = Metric::parse(metric).ok_or_else(|| Problem::internal("no metric"))?;
    let candidates: BTreeMap<String, Results> = input
        .candidates
        .into_iter()
        .map(|(name, found)| (name, subject::found(found)))
        .collect();
    let mut settings = vec![input.baseline];
    let others = input.space.settings();
    settings.extend(
        others
            .into_iter()
            .filter(|other| *other != settings[0])
            .collect::<Vec<_>>(),
    );
    let outcome = sweep(
        &input.judgements,
        &candidates,
        &settings,
        metric,
        input.seed,
    );
    let shown = outcome.finalists.iter().map(|finalist| {
        let mut row = json!(finalist);
        row["setting"] = json!(settings[finalist.setting]);
        row
    });
    Ok(Json::ok(Swept {
        verdict: match outcome.winner {
            Some(_) => "gain",
            None => "no significant gain",
        },
        finalists: shown.collect(),
        winner: outcome.winner.map(|at| settings[at].clone()),
        settings: settings.len(),
        questions: outcome.questions,
    }))
}
