//! What retrievers found, scored by what is relevant.

use std::collections::BTreeMap;

use nodeai_rag::metrics::{Hit, Judged, Metric};
use nodeai_rag::stats::{Comparison, Mean, compare, holm, mean};
use serde::Serialize;

/// Judgements by query.
pub type Judgements = BTreeMap<String, Judged>;
/// Results by query.
pub type Results = BTreeMap<String, Vec<Hit>>;

/// One metric over all judged queries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The metric.
    pub metric: String,
    /// Mean, n, interval.
    #[serde(flatten)]
    pub mean: Mean,
    /// The score of each query.
    pub queries: BTreeMap<String, f64>,
}

/// Scores results. A judged query without results counts as 0, as with `trec_eval -c`; results of queries that are not judged
/// do not count.
pub fn score(judged: &Judgements, found: &Results, metrics: &[Metric], seed: u64) -> Vec<Scored> {
    let scored = metrics.iter().map(|metric| {
        let scores = scores(judged, found, *metric);
        Scored {
            metric: metric.to_string(),
            mean: mean(&scores, seed),
            queries: judged.keys().cloned().zip(scores).collect(),
        }
    });
    scored.collect()
}

fn scores(judged: &Judgements, found: &Results, metric: Metric) -> Vec<f64> {
    let none = Vec::new();
    let queries = judged.iter();
    let one = |(query, grades): (&String, &Judged)| {
        metric.score(grades, found.get(query).unwrap_or(&none))
    };
    queries.map(one).collect()
}

/// Two systems by one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The metric.
    pub metric: String,
    /// Mean of the first.
    pub first: Mean,
    /// Mean of the second.
    pub second: Mean,
    /// Their difference on the same queries.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// p after Holm's correction for all metrics asked for.
    pub p_holm: Option<f64>,
}

/// Compares two systems on the judged queries.
pub fn versus(
    judged: &Judgements,
    (first, second): (&Results, &Results),
    metrics: &[Metric],
    seed: u64,
) -> Vec<Compared> {
    let mut all: Vec<Compared> = metrics
        .iter()
        .map(|metric| {
            let (a, b) = (
                scores(judged, first, *metric),
                scores(judged, second, *metric),
            );
            Compared {
                metric: metric.to_string(),
                first: mean(&a, seed),
                second: mean(&b, seed),
                comparison: compare(&a, &b, seed),
                p_holm: None,
            }
        })
        .collect();
    let p: Option<Vec<f64>> = all.iter().map(|one| one.comparison.p).collect();
    for (one, corrected) in all.iter_mut().zip(p.map(|p| holm(&p)).unwrap_or_default()) {
        one.p_holm = Some(corrected);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(n: usize) -> Judgements {
        let one = |i| (format!("q{i}"), Judged::from([("a".to_owned(), 1)]));
        (0..n).map(one).collect()
    }

    fn found(n: usize, first: &str) -> Results {
        let hit = |id: &str, score| Hit {
            id: id.to_owned(),
            score,
        };
        let hits = || vec![hit(first, 2.0), hit("b", 1.0)];
        (0..n).map(|i| (format!("q{i}"), hits())).collect()
    }

    #[test]
    fn a_judged_query_without_results_counts() {
        let scored = score(&judged(4), &found(3, "a"), &[Metric::ReciprocalRank], 1);
        assert_eq!((scored[0].mean.mean, scored[0].mean.n), (Some(0.75), 4));
        assert_eq!(scored[0].queries["q3"], 0.0);
    }

    #[test]
    fn the_better_system_is_found() {
        let metrics = [Metric::ReciprocalRank, Metric::Hit(1)];
        let all = versus(&judged(20), (&found(20, "x"), &found(20, "a")), &metrics, 1);
        assert!(all[0].comparison.difference > 0.9);
        assert!(all.iter().all(|one| one.p_holm.is_some_and(|p| p < 0.01)));
    }
}
