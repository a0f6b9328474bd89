//! Lists of candidates made one, and why each is where it is.

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
pub fn fuse(
    lexical: &[(String, f64)],
    vector: &[(String, f64)],
    mode: Mode,
    fusion: Fusion,
    weights: Weights,
) -> Ranking {
    let hits = match mode {
        Mode::Lexical => lexical.to_vec(),
        Mode::Vector => vector.to_vec(),
        Mode::Hybrid => {
            let (left, right) = (as_hits(lexical), as_hits(vector));
            let lists = [(weights.lexical, &left[..]), (weights.vector, &right[..])];
            let fused = match fusion {
                Fusion::Rrf => reciprocal_rank(&lists, RRF_K),
                Fusion::Weighted => weighted(&lists),
            };
            fused.into_iter().map(|hit| (hit.id, hit.score)).collect()
        }
    };
    Ranking {
        hits,
        lexical: places(lexical),
        vector: places(vector),
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
        let made = fuse(
            &lexical,
            &vector,
            Mode::Hybrid,
            Fusion::Rrf,
            Weights::default(),
        );
        assert_eq!(made.hits[0].0, "b");
        assert_eq!(
            made.lexical["b"],
            Place {
                rank: 2,
                score: 8.0
            }
        );
        assert_eq!(made.vector.get("a"), None);
        let heavy = Weights {
            lexical: 3.0,
            vector: 1.0,
        };
        let made = fuse(&lexical, &vector, Mode::Hybrid, Fusion::Weighted, heavy);
        assert_eq!(made.hits[0].0, "a");
    }

    #[test]
    fn one_list_keeps_its_scores() {
        let vector = list(&[("c", 0.9)]);
        let made = fuse(&[], &vector, Mode::Vector, Fusion::Rrf, Weights::default());
        assert_eq!(made.hits, vector);
    }
}
