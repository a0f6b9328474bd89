//! Retrieval metrics by the definitions of trec_eval 9 (<https://github.com/usnistgov/trec_eval>): results are ordered by
//! score, equal scores by id from the last to the first; precision@k divides by k however short a list is; average precision
//! divides by all relevant documents; nDCG has linear gains and log2(rank + 1) discounts. A query without results scores 0.
//! (ranx keeps equal scores in the order in which they come, and its nDCG of a list without relevant documents is 0 as here.)

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Documents that are relevant to a query, with their grade: 1 and above is relevant, 0 and below is not.
pub type Judged = BTreeMap<String, i64>;

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The document.
    pub id: String,
    /// Its score; higher is better. NaN counts as the lowest.
    pub score: f64,
}

/// A metric; `k` is how many results count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Relevant ones among the first k, divided by k.
    Precision(usize),
    /// Relevant ones among the first k, divided by all relevant ones.
    Recall(usize),
    /// Mean of the precisions at each relevant result, divided by all relevant ones; of the first k, or of all.
    AveragePrecision(Option<usize>),
    /// Discounted cumulative gain of the first k, or of all, divided by the best possible one.
    Ndcg(Option<usize>),
    /// 1 / rank of the first relevant result.
    ReciprocalRank,
    /// Whether one of the first k is relevant.
    Hit(usize),
}

impl Metric {
    /// Reads `precision@5`, `recall@10`, `map`, `map@10`, `ndcg`, `ndcg@10`, `mrr`, `hit_rate@3`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, k) = match text.split_once('@') {
            Some((name, k)) => {
                let k: usize = k.parse().ok()?;
                (name, Some(k).filter(|k| (1..=10_000).contains(k))?.into())
            }
            None => (text, None),
        };
        match (name, k) {
            ("precision", Some(k)) => Some(Self::Precision(k)),
            ("recall", Some(k)) => Some(Self::Recall(k)),
            ("map", k) => Some(Self::AveragePrecision(k)),
            ("ndcg", k) => Some(Self::Ndcg(k)),
            ("mrr", None) => Some(Self::ReciprocalRank),
            ("hit_rate", Some(k)) => Some(Self::Hit(k)),
            _ => None,
        }
    }

    /// The score of one query's results.
    pub fn score(self, judged: &Judged, hits: &[Hit]) -> f64 {
        let grades = grades(judged, hits);
        let all = judged.values().filter(|grade| **grade > 0).count();
        let first = |k: usize| &grades[..k.min(grades.len())];
        let relevant = |part: &[i64]| part.iter().filter(|grade| **grade > 0).count();
        match self {
            Self::Precision(k) => ratio(relevant(first(k)), k),
            Self::Recall(k) => ratio(relevant(first(k)), all),
            Self::AveragePrecision(k) => average_precision(first(k.unwrap_or(usize::MAX)), all),
            Self::Ndcg(k) => {
                let k = k.unwrap_or(usize::MAX);
                ndcg(first(k), judged, k)
            }
            Self::ReciprocalRank => {
                let at = grades.iter().position(|grade| *grade > 0);
                at.map_or(0.0, |at| 1.0 / (at as f64 + 1.0))
            }
            Self::Hit(k) => f64::from(relevant(first(k)) > 0),
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, k) = match self {
            Self::Precision(k) => ("precision", Some(*k)),
            Self::Recall(k) => ("recall", Some(*k)),
            Self::AveragePrecision(k) => ("map", *k),
            Self::Ndcg(k) => ("ndcg", *k),
            Self::ReciprocalRank => ("mrr", None),
            Self::Hit(k) => ("hit_rate", Some(*k)),
        };
        match k {
            Some(k) => write!(out, "{name}@{k}"),
            None => write!(out, "{name}"),
        }
    }
}

/// Grades of the results in their order; a document that is there twice counts where it comes first.
fn grades(judged: &Judged, hits: &[Hit]) -> Vec<i64> {
    let mut ordered: Vec<&Hit> = hits.iter().collect();
    ordered.sort_by(|a, b| by_score(b, a).then_with(|| b.id.cmp(&a.id)));
    let mut seen = std::collections::BTreeSet::new();
    ordered.retain(|hit| seen.insert(hit.id.as_str()));
    let grade = |hit: &&Hit| judged.get(&hit.id).copied().unwrap_or(0);
    ordered.iter().map(grade).collect()
}

fn by_score(a: &Hit, b: &Hit) -> Ordering {
    match (a.score.is_nan(), b.score.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.score.partial_cmp(&b.score).unwrap_or(Ordering::Equal),
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

fn average_precision(grades: &[i64], all: usize) -> f64 {
    let (mut found, mut sum) = (0, 0.0);
    for (at, grade) in grades.iter().enumerate() {
        if *grade > 0 {
            found += 1;
            sum += ratio(found, at + 1);
        }
    }
    match all {
        0 => 0.0,
        all => sum / all as f64,
    }
}

fn ndcg(grades: &[i64], judged: &Judged, k: usize) -> f64 {
    let gain = |grades: &[i64]| -> f64 {
        let ranked = grades.iter().zip(1_u32..);
        ranked
            .filter(|(grade, _)| **grade > 0)
            .map(|(grade, rank)| *grade as f64 / f64::from(rank + 1).log2())
            .sum()
    };
    let mut best: Vec<i64> = judged
        .values()
        .copied()
        .filter(|grade| *grade > 0)
        .collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    best.truncate(k);
    let most = gain(&best);
    match most > 0.0 {
        true => gain(grades) / most,
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pairs: &[(&str, i64)]) -> Judged {
        pairs
            .iter()
            .map(|(id, grade)| ((*id).to_owned(), *grade))
            .collect()
    }

    fn hits(ids: &[&str]) -> Vec<Hit> {
        let scored = ids.iter().enumerate();
        let hit = |(at, id): (usize, &&str)| Hit {
            id: (*id).to_owned(),
            score: -(at as f64),
        };
        scored.map(hit).collect()
    }

    #[test]
    fn a_short_list_is_divided_by_k_and_by_all_relevant() {
        let judged = judged(&[("a", 1), ("b", 1), ("c", 1), ("z", 0)]);
        let found = hits(&["a", "z"]);
        assert_eq!(Metric::Precision(5).score(&judged, &found), 0.2);
        assert_eq!(Metric::Recall(5).score(&judged, &found), 1.0 / 3.0);
        assert_eq!(
            Metric::AveragePrecision(None).score(&judged, &found),
            1.0 / 3.0
        );
        assert_eq!(Metric::Hit(1).score(&judged, &found), 1.0);
        assert_eq!(
            Metric::ReciprocalRank.score(&judged, &hits(&["z", "b"])),
            0.5
        );
    }

    #[test]
    fn equal_scores_are_ordered_by_id_from_the_last() {
        let judged = judged(&[("a", 1)]);
        let tied = |ids: [&str; 2]| {
            ids.map(|id| Hit {
                id: id.to_owned(),
                score: 1.0,
            })
        };
        for order in [["a", "b"], ["b", "a"]] {
            assert_eq!(Metric::ReciprocalRank.score(&judged, &tied(order)), 0.5);
        }
    }

    #[test]
    fn nothing_found_or_nothing_relevant_is_zero_never_nan() {
        let none = judged(&[("a", 0)]);
        for metric in [
            "precision@3",
            "recall@3",
            "map",
            "ndcg",
            "ndcg@3",
            "mrr",
            "hit_rate@3",
        ] {
            let metric = Metric::parse(metric).expect("a metric");
            assert_eq!(metric.score(&none, &hits(&["a"])), 0.0, "{metric}");
            assert_eq!(metric.score(&judged(&[("a", 1)]), &[]), 0.0, "{metric}");
        }
        let nan = [Hit {
            id: "a".to_owned(),
            score: f64::NAN,
        }];
        assert_eq!(Metric::Hit(1).score(&judged(&[("a", 1)]), &nan), 1.0);
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            "precision@5",
            "recall@10",
            "map",
            "map@3",
            "ndcg",
            "ndcg@10",
            "mrr",
            "hit_rate@1",
        ] {
            assert_eq!(
                Metric::parse(name).map(|m| m.to_string()).as_deref(),
                Some(name)
            );
        }
        for wrong in [
            "precision",
            "mrr@3",
            "ndcg@0",
            "recall@x",
            "f1",
            "recall@-1",
        ] {
            assert_eq!(Metric::parse(wrong), None, "{wrong}");
        }
    }
}
