//! Fusion settings tried on candidates that are there already: how the retrievers are weighed, by which method they are fused, how
//! many results are kept. Nothing is retrieved again, so the whole grid is free.

use std::collections::BTreeMap;

use nodeai_rag::fusion::{RRF_K, reciprocal_rank, weighted};
use nodeai_rag::metrics::{Hit, Metric};
use nodeai_rag::optimise::{Outcome, Search, search};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::retrieval::{Judgements, Results};

/// Most settings of a grid.
pub const MOST_SETTINGS: usize = 2_000;

/// How rankings become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// Reciprocal rank fusion: ranks count, not scores.
    Rrf,
    /// Weighted sum of scores, each ranking's brought to 0…1.
    Weighted,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// How much each retriever counts; one that is left out, or 0, does not.
    pub weights: BTreeMap<String, f64>,
    /// How they are fused.
    pub fusion: Fusion,
    /// The constant of reciprocal rank fusion; 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rrf_k: Option<f64>,
    /// How many results are kept.
    pub limit: usize,
}

/// What is tried: every combination.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Weights of each retriever to be tried.
    pub weights: BTreeMap<String, Vec<f64>>,
    /// Methods to be tried.
    pub fusion: Vec<Fusion>,
    /// Constants of reciprocal rank fusion to be tried; 60 unless given.
    #[serde(default)]
    pub rrf_k: Vec<f64>,
    /// Numbers of results to be tried.
    pub limit: Vec<usize>,
}

impl Space {
    /// How many settings there are, those included that come to the same.
    pub fn size(&self) -> usize {
        let weights = self.weights.values().map(Vec::len);
        let parts = weights.chain([self.fusion.len(), self.rrf_k.len().max(1), self.limit.len()]);
        parts.fold(1, usize::saturating_mul)
    }

    /// All settings, each once: weights that are multiples of each other come to the same, and so do constants of a fusion that
    /// has none. A setting in which no retriever counts is none.
    pub fn settings(&self) -> Vec<Setting> {
        let usual = [RRF_K];
        let constants: &[f64] = if self.rrf_k.is_empty() {
            &usual
        } else {
            &self.rrf_k
        };
        let mut all: Vec<Setting> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for weights in combinations(&self.weights) {
            let sum: f64 = weights.values().sum();
            if sum <= 0.0 {
                continue;
            }
            for fusion in &self.fusion {
                for constant in constants {
                    for limit in &self.limit {
                        let setting = Setting {
                            weights: weights.clone(),
                            fusion: *fusion,
                            rrf_k: (*fusion == Fusion::Rrf).then_some(*constant),
                            limit: *limit,
                        };
                        if seen.insert(setting.meaning()) {
                            all.push(setting);
                        }
                    }
                }
            }
        }
        all
    }
}

fn combinations(weights: &BTreeMap<String, Vec<f64>>) -> Vec<BTreeMap<String, f64>> {
    weights
        .iter()
        .fold(vec![BTreeMap::new()], |made, (name, values)| {
            let with = |base: &BTreeMap<String, f64>| {
                let base = base.clone();
                let one = move |value: &f64| {
                    let mut next = base.clone();
                    next.insert(name.clone(), *value);
                    next
                };
                values.iter().map(one).collect::<Vec<_>>()
            };
            made.iter().flat_map(with).collect()
        })
}

impl Setting {
    /// What two settings that come to the same share.
    fn meaning(&self) -> String {
        let sum: f64 = self.weights.values().sum();
        let parts = self.weights.iter().filter(|(_, weight)| **weight > 0.0);
        let parts = parts.map(|(name, weight)| format!("{name}={:.9}", weight / sum));
        let weights: Vec<String> = parts.collect();
        format!(
            "{:?} {:?} {:?} {}",
            weights, self.fusion, self.rrf_k, self.limit
        )
    }

    /// The results of one query by this setting.
    pub fn results(&self, candidates: &BTreeMap<String, Results>, query: &str) -> Vec<Hit> {
        let lists = self.weights.iter().filter(|(_, weight)| **weight > 0.0);
        let lists: Vec<(f64, &[Hit])> = lists
            .filter_map(|(name, weight)| {
                let hits = candidates.get(name)?.get(query)?;
                Some((*weight, hits.as_slice()))
            })
            .collect();
        let mut fused = match self.fusion {
            Fusion::Rrf => reciprocal_rank(&lists, self.rrf_k.unwrap_or(RRF_K)),
            Fusion::Weighted => weighted(&lists),
        };
        fused.truncate(self.limit);
        fused
    }
}

/// Tries settings on all judged queries; `settings[0]` is the one in use. Lists are best first.
pub fn sweep(
    judged: &Judgements,
    candidates: &BTreeMap<String, Results>,
    settings: &[Setting],
    metric: Metric,
    seed: u64,
) -> Outcome {
    let queries: Vec<_> = judged.iter().collect();
    let of = Search {
        settings: settings.len(),
        questions: queries.len(),
        baseline: 0,
        first: None,
        seed,
    };
    search(of, |setting, question| {
        let (query, grades) = queries[question];
        Some(metric.score(grades, &settings[setting].results(candidates, query)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nodeai_rag::metrics::Judged;

    fn hits(ids: &[&str]) -> Vec<Hit> {
        let ranked = ids.iter().enumerate();
        ranked
            .map(|(at, id)| Hit {
                id: (*id).to_owned(),
                score: 10.0 - at as f64,
            })
            .collect()
    }

    fn space(lexical: &[f64]) -> Space {
        Space {
            weights: [
                ("lexical".to_owned(), lexical.to_vec()),
                ("vector".to_owned(), vec![0.0, 1.0]),
            ]
            .into(),
            fusion: vec![Fusion::Rrf, Fusion::Weighted],
            rrf_k: vec![10.0, 60.0],
            limit: vec![5],
        }
    }

    #[test]
    fn settings_that_come_to_the_same_are_tried_once() {
        let space = space(&[0.0, 1.0, 2.0]);
        assert_eq!(space.size(), 24);
        // Weights 0:1, 1:0 (as 2:0), 1:1, 2:1; each by two constants of RRF and one weighted sum.
        assert_eq!(space.settings().len(), 12);
    }

    #[test]
    fn the_retriever_that_finds_it_wins() {
        let queries = 0..60;
        let judged: Judgements = queries
            .clone()
            .map(|i| (format!("q{i:02}"), Judged::from([("a".to_owned(), 1)])))
            .collect();
        let found = |ids: &[&str]| -> Results {
            queries
                .clone()
                .map(|i| (format!("q{i:02}"), hits(ids)))
                .collect()
        };
        let candidates = [
            ("lexical".to_owned(), found(&["x", "y"])),
            ("vector".to_owned(), found(&["a", "x"])),
        ]
        .into();
        let settings = space(&[0.0, 1.0]).settings();
        let place = settings
            .iter()
            .position(|s| s.weights["vector"] == 0.0)
            .expect("lexical alone");
        let mut ordered = settings.clone();
        ordered.swap(0, place);
        let outcome = sweep(&judged, &candidates, &ordered, Metric::ReciprocalRank, 1);
        let winner = &ordered[outcome.winner.expect("a winner")];
        assert_eq!(winner.weights["vector"], 1.0);
    }
}
