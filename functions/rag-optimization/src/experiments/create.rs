//! `POST /api/v1/rag-optimization/experiments`

use super::model::Experiment;
use crate::OptimizationsRun;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Reply, Valid, clock};
use nodeai_evaluation::experiment::space::{Given, Space};
use nodeai_http::{Check, Checker, Problem};
use nodeai_knowledge::rank::usual_candidates;
use nodeai_rag::metrics::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Questions when nobody says how many, and the most.
const QUESTIONS: u32 = 500;
const MOST_QUESTIONS: u32 = 1_000;

/// An experiment to be made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExperimentInput {
    /// 1 to 200 characters.
    name: String,
    /// Whose search settings are tried.
    knowledge_base_id: String,
    /// The dataset that asks; its items say which documents (by id) are `relevant`.
    dataset_id: String,
    /// Its version; the current one unless given.
    #[serde(default)]
    dataset_version: Option<i64>,
    /// What is tried: every combination, at most 500.
    #[serde(default)]
    space: Space,
    /// What it is held against; the base's own search unless given.
    #[serde(default)]
    baseline: Option<Given>,
    /// By which metric; `ndcg@10` unless given.
    #[serde(default)]
    metric: Option<String>,
    /// Only so many items, the oldest ones: 1 to 1,000; 500 unless given.
    #[serde(default)]
    max_items: Option<u32>,
    /// The same seed on the same lists gives the same outcome.
    #[serde(default)]
    seed: u64,
    /// What it may take.
    #[serde(default)]
    budget: Budget,
}

/// What an experiment may take; it fails with `budget` or `time` when that is used up before all lists are there.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// USD, 0.000001 to 1,000,000. Searches that are under way may go above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usd: Option<f64>,
    /// Minutes, 1 to 10,080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minutes: Option<u32>,
}

impl Check for ExperimentInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        let ids = [
            ("/knowledge_base_id", &self.knowledge_base_id),
            ("/dataset_id", &self.dataset_id),
        ];
        for (at, id) in ids {
            c.require(is_uuid(id), at, "format", "must be a UUID");
        }
        let version = self
            .dataset_version
            .is_none_or(|v| (1..=i64::from(i32::MAX)).contains(&v));
        c.require(version, "/dataset_version", "range", "starts at 1");
        self.space.check(c, "/space");
        if let Some(baseline) = &self.baseline {
            baseline.check(c, "/baseline");
        }
        let known = self
            .metric
            .as_deref()
            .is_none_or(|name| name.len() <= 100 && Metric::parse(name).is_some());
        let detail = "such as ndcg@10, mrr, recall@5";
        c.require(known, "/metric", "unknown", detail);
        let items = self
            .max_items
            .is_none_or(|n| (1..=MOST_QUESTIONS).contains(&n));
        c.require(items, "/max_items", "range", "must be from 1 to 1000");
        let seed = i64::try_from(self.seed).is_ok();
        c.require(seed, "/seed", "range", "at most 9223372036854775807");
        let usd = self
            .budget
            .usd
            .is_none_or(|usd| (1e-6..=1_000_000.0).contains(&usd));
        let detail = "must be from 0.000001 to 1000000";
        c.require(usd, "/budget/usd", "range", detail);
        let minutes = self
            .budget
            .minutes
            .is_none_or(|n| (1..=10_080).contains(&n));
        c.require(
            minutes,
            "/budget/minutes",
            "range",
            "must be from 1 to 10080",
        );
    }
}

impl ExperimentInput {
    /// How long lists have to be for the longest results that are tried.
    fn depth(&self) -> usize {
        let baseline = self.baseline.as_ref().and_then(|given| given.k);
        let longest = self.space.k.iter().copied().chain(baseline).max();
        usual_candidates(longest.unwrap_or(1))
    }

    fn needs_vectors(&self) -> bool {
        let baseline = Space {
            mode: self
                .baseline
                .and_then(|given| given.mode)
                .into_iter()
                .collect(),
            ..Space::default()
        };
        self.space.needs_vectors() || baseline.needs_vectors()
    }
}

/// Makes an experiment, which goes on by itself: each question is searched as whoever makes it, with long lists, and all settings are
/// tried on those. 202 with its `Location`.
pub async fn handle(
    caller: Caller<OptimizationsRun>,
    Valid(input): Valid<ExperimentInput>,
) -> Result<Reply<Experiment, 202>, Problem> {
    let id = clock::new_id();
    let row = json!({"knowledge_base_id": input.knowledge_base_id, "dataset_id": input.dataset_id,
        "dataset_version": input.dataset_version, "name": input.name, "search_space": input.space, "baseline": input.baseline,
        "metric": input.metric.as_deref().unwrap_or("ndcg@10"), "seed": input.seed, "budget": input.budget,
        "depth": input.depth()});
    let location = format!("/api/v1/rag-optimization/experiments/{id}");
    let args = json!({"id": id, "row": row, "most": input.max_items.unwrap_or(QUESTIONS),
        "needs_vectors": input.needs_vectors()});
    let command = Command::named("experiment_create", "knowledge base or dataset", &id, args)
        .audit("experiment.created", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}
