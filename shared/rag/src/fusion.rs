//! Rankings of several retrievers made one.

use std::collections::BTreeMap;

use crate::metrics::Hit;

/// The usual constant of reciprocal rank fusion.
pub const RRF_K: f64 = 60.0;

fn ordered(scores: BTreeMap<String, f64>) -> Vec<Hit> {
    let mut hits: Vec<Hit> = scores
        .into_iter()
        .map(|(id, score)| Hit { id, score })
        .collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    hits
}

/// Reciprocal rank fusion (G. Cormack, C. Clarke, S. Büttcher, SIGIR 2009): the sum of `weight / (k + rank)` over the rankings
/// that have a document. Rankings are best first; their scores do not count.
pub fn reciprocal_rank(rankings: &[(f64, &[Hit])], k: f64) -> Vec<Hit> {
    let mut scores = BTreeMap::new();
    for (weight, hits) in rankings {
        for (hit, rank) in hits.iter().zip(1_u32..) {
            *scores.entry(hit.id.clone()).or_insert(0.0) += weight / (k + f64::from(rank));
        }
    }
    ordered(scores)
}

/// The weighted sum of scores, each ranking's brought to 0…1 by its own lowest and highest. A ranking whose scores are all
/// the same gives 1 to all of them.
pub fn weighted(rankings: &[(f64, &[Hit])]) -> Vec<Hit> {
    let mut scores = BTreeMap::new();
    for (weight, hits) in rankings {
        let values = hits.iter().map(|hit| hit.score);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        for hit in *hits {
            let scaled = match high > low {
                true => (hit.score - low) / (high - low),
                false => 1.0,
            };
            *scores.entry(hit.id.clone()).or_insert(0.0) += weight * scaled;
        }
    }
    ordered(scores)
}

/// Maximal marginal relevance (J. Carbonell, J. Goldstein, SIGIR 1998): picks up to `count` places of `relevance`, each the best
/// of `lambda × relevance − (1 − lambda) × similarity to what is picked`. `similar` is symmetric.
pub fn diverse(
    relevance: &[f64],
    similar: impl Fn(usize, usize) -> f64,
    lambda: f64,
    count: usize,
) -> Vec<usize> {
    let mut left: Vec<usize> = (0..relevance.len()).collect();
    let mut nearest = vec![f64::NEG_INFINITY; relevance.len()];
    let mut picked = Vec::new();
    while picked.len() < count && !left.is_empty() {
        let worth = |at: usize| {
            let near = if picked.is_empty() { 0.0 } else { nearest[at] };
            lambda * relevance[at] - (1.0 - lambda) * near
        };
        let best = (0..left.len()).max_by(|a, b| {
            // The first of equals, so that the order of the ranking counts.
            worth(left[*a])
                .total_cmp(&worth(left[*b]))
                .then_with(|| b.cmp(a))
        });
        let Some(best) = best else { break };
        let at = left.remove(best);
        for other in &left {
            nearest[*other] = nearest[*other].max(similar(at, *other));
        }
        picked.push(at);
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(pairs: &[(&str, f64)]) -> Vec<Hit> {
        let hit = |(id, score): &(&str, f64)| Hit {
            id: (*id).to_owned(),
            score: *score,
        };
        pairs.iter().map(hit).collect()
    }

    fn ids(hits: &[Hit]) -> Vec<&str> {
        hits.iter().map(|hit| hit.id.as_str()).collect()
    }

    #[test]
    fn who_is_in_both_rankings_wins() {
        let (lexical, vector) = (
            hits(&[("a", 9.0), ("b", 8.0)]),
            hits(&[("c", 0.9), ("b", 0.8)]),
        );
        let fused = reciprocal_rank(&[(1.0, &lexical), (1.0, &vector)], RRF_K);
        assert_eq!(ids(&fused), ["b", "a", "c"]);
        assert!((fused[0].score - 2.0 / 62.0).abs() < 1e-15);
    }

    #[test]
    fn scores_of_different_scales_are_brought_together() {
        let (lexical, vector) = (
            hits(&[("a", 30.0), ("b", 10.0)]),
            hits(&[("b", 0.9), ("a", 0.1)]),
        );
        assert_eq!(
            ids(&weighted(&[(0.7, &lexical), (0.3, &vector)])),
            ["a", "b"]
        );
        assert_eq!(
            ids(&weighted(&[(0.3, &lexical), (0.7, &vector)])),
            ["b", "a"]
        );
        let flat = hits(&[("x", 5.0), ("y", 5.0)]);
        assert!(weighted(&[(1.0, &flat)]).iter().all(|hit| hit.score == 1.0));
    }

    #[test]
    fn twins_are_not_picked_together() {
        let similar = |a: usize, b: usize| f64::from(a.min(b) == 0 && a.max(b) == 1);
        assert_eq!(diverse(&[1.0, 0.95, 0.5], similar, 0.5, 2), [0, 2]);
        assert_eq!(diverse(&[1.0, 0.95, 0.5], similar, 1.0, 3), [0, 1, 2]);
        assert_eq!(diverse(&[], similar, 0.5, 3), Vec::<usize>::new());
    }
}
