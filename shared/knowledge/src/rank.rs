//! Lists of candidates made one, and why each is where it is.

use crate::Fault;
use nodeai_rag::fusion::{RRF_K, reciprocal_rank, weighted};
use nodeai_rag::metrics::Hit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which lists a search makes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By words (BM25).
    Lexical,
    /// By meaning (cosine of vectors).
    Vector,
    /// Both, made one.
    #[default]
    Hybrid,
}

/// How two lists become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// Reciprocal rank fusion: places count, scores do not.
    #[default]
    Rrf,
    /// The weighted sum of scores, each list's brought to 0…1.
    Weighted,
}

/// How much each list counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// The lexical one, 0 to 100; 1 unless given.
    #[serde(default = "one")]
    pub lexical: f64,
    /// The one of vectors, 0 to 100; 1 unless given.
    #[serde(default = "one")]
    pub vector: f64,
}

fn one() -> f64 {
    1.0
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            lexical: 1.0,
            vector: 1.0,
        }
    }
}

impl Weights {
    /// What is wrong with them, by pointers below `at`.
    pub fn faults(&self, at: &str) -> Vec<Fault> {
        let both = [("lexical", self.lexical), ("vector", self.vector)];
        let wrong = both.iter().filter(|(_, w)| !(0.0..=100.0).contains(w));
        let fault = |(name, _): &(&str, f64)| {
            Fault::new(format!("{at}/{name}"), "out_of_range", "0 to 100")
        };
        wrong.map(fault).collect()
    }
}

/// How a search makes one list of two.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct How {
    /// Which lists count.
    pub mode: Mode,
    /// How two of them become one.
    pub fusion: Fusion,
    /// How much each counts.
    pub weights: Weights,
    /// The constant of reciprocal rank fusion; 60 when none.
    pub rrf_k: Option<f64>,
}

/// Most candidates of each list.
pub const MOST_CANDIDATES: usize = 400;

/// How long each list is for `k` results when nobody says it.
pub fn usual_candidates(k: usize) -> usize {
    (k * 5).max(50).min(MOST_CANDIDATES.max(k))
}

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// From 1.
    pub rank: usize,
    /// The list's own score.
    pub score: f64,
}

/// The candidates, best first, and their places in each list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    /// Best first.
    pub hits: Vec<(String, f64)>,
    /// Places in the lexical list.
    pub lexical: BTreeMap<String, Place>,
    /// Places in the list of vectors.
    pub vector: BTreeMap<String, Place>,
}

/// Makes one list of two; each is best first. A list that was not asked for is empty, and then the other's scores stay.
pub fn fuse(lexical: &[(String, f64)], vector: &[(String, f64)], how: How) -> Ranking {
    Ranking {
        hits: ranked(lexical, vector, how),
        lexical: places(lexical),
        vector: places(vector),
    }
}

/// As [`fuse`], without saying why each is where it is.
pub fn ranked(lexical: &[(String, f64)], vector: &[(String, f64)], how: How) -> Vec<(String, f64)> {
    match how.mode {
        Mode::Lexical => lexical.to_vec(),
        Mode::Vector => vector.to_vec(),
        Mode::Hybrid => {
            let (left, right) = (as_hits(lexical), as_hits(vector));
            let weights = how.weights;
            let lists = [(weights.lexical, &left[..]), (weights.vector, &right[..])];
            let fused = match how.fusion {
                Fusion::Rrf => reciprocal_rank(&lists, how.rrf_k.unwrap_or(RRF_K)),
                Fusion::Weighted => weighted(&lists),
            };
            fused.into_iter().map(|hit| (hit.id, hit.score)).collect()
        }
    }
}

fn as_hits(list: &[(String, f64)]) -> Vec<Hit> {
    let hit = |(id, score): &(String, f64)| Hit {
        id: id.clone(),
        score: *score,
    };
    list.iter().map(hit).collect()
}

fn places(list: &[(String, f64)]) -> BTreeMap<String, Place> {
    let place = |(at, (id, score)): (usize, &(String, f64))| {
        let place = Place {
            rank: at + 1,
            score: *score,
        };
        (id.clone(), place)
    };
    list.iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: &[(&str, f64)]) -> Vec<(String, f64)> {
        pairs
            .iter()
            .map(|(id, score)| ((*id).to_owned(), *score))
            .collect()
    }

    #[test]
    fn places_of_both_lists_are_kept() {
        let (lexical, vector) = (
            list(&[("a", 9.0), ("b", 8.0)]),
            list(&[("c", 0.9), ("b", 0.8)]),
        );
        let made = fuse(&lexical, &vector, How::default());
        assert_eq!(made.hits[0].0, "b");
        assert_eq!(
            made.lexical["b"],
            Place {
                rank: 2,
                score: 8.0
            }
        );
        assert_eq!(made.vector.get("a"), None);
        let heavy = How {
            fusion: Fusion::Weighted,
            weights: Weights {
                lexical: 3.0,
                vector: 1.0,
            },
            ..How::default()
        };
        let made = fuse(&lexical, &vector, heavy);
        assert_eq!(made.hits[0].0, "a");
    }

    #[test]
    fn the_constant_of_reciprocal_ranks_can_be_chosen() {
        let one = list(&[("a", 9.0)]);
        let how = How {
            rrf_k: Some(9.0),
            ..How::default()
        };
        let made = fuse(&one, &[], how);
        assert!((made.hits[0].1 - 0.1).abs() < 1e-12);
    }

    #[test]
    fn lists_are_five_times_as_long_as_what_is_given() {
        let long = [1, 10, 20, 100].map(usual_candidates);
        assert_eq!(long, [50, 50, 100, 400]);
    }

    #[test]
    fn one_list_keeps_its_scores() {
        let vector = list(&[("c", 0.9)]);
        let how = How {
            mode: Mode::Vector,
            ..How::default()
        };
        let made = fuse(&[], &vector, how);
        assert_eq!(made.hits, vector);
    }
}
