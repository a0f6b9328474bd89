//! How far a judge and people agree.

use std::collections::BTreeMap;

use serde::Serialize;

/// Agreement on one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// The metric's name.
    pub metric: String,
    /// Results that have a score and a label.
    pub n: usize,
    /// `values` where all scores and labels are whole numbers, else `threshold`: at or above it, or below.
    pub categories: &'static str,
    /// How often both are in the same category.
    pub accuracy: f64,
    /// Cohen's kappa (J. Cohen, 1960): agreement beyond that of chance; none where chance alone agrees always.
    pub kappa: Option<f64>,
    /// Spearman's rank correlation of scores and labels; none of fewer than three or where one of them never changes.
    pub spearman: Option<f64>,
    /// Mean of score minus label: above 0 the judge is the more generous one.
    pub bias: f64,
}

/// Works out the agreement of pairs of score and label; none of no pairs.
pub fn agreement(metric: &str, pairs: &[(f64, f64)], threshold: f64) -> Option<Agreement> {
    if pairs.is_empty() {
        return None;
    }
    let n = pairs.len() as f64;
    let whole = pairs
        .iter()
        .all(|(score, label)| score.fract() == 0.0 && label.fract() == 0.0);
    let category = |value: f64| match whole {
        true => value as i64,
        false => i64::from(value >= threshold),
    };
    let pairs_of = || pairs.iter().map(|(a, b)| (category(*a), category(*b)));
    let accuracy = pairs_of().filter(|(a, b)| a == b).count() as f64 / n;
    let mut shares: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (a, b) in pairs_of() {
        shares.entry(a).or_default().0 += 1.0 / n;
        shares.entry(b).or_default().1 += 1.0 / n;
    }
    let chance: f64 = shares.values().map(|(a, b)| a * b).sum();
    Some(Agreement {
        metric: metric.to_owned(),
        n: pairs.len(),
        categories: if whole { "values" } else { "threshold" },
        accuracy,
        kappa: (chance < 1.0 - 1e-12).then(|| (accuracy - chance) / (1.0 - chance)),
        spearman: spearman(pairs),
        bias: pairs.iter().map(|(a, b)| a - b).sum::<f64>() / n,
    })
}

fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let ranks_of = |of: fn(&(f64, f64)) -> f64| ranks(&pairs.iter().map(of).collect::<Vec<f64>>());
    let (a, b) = (ranks_of(|pair| pair.0), ranks_of(|pair| pair.1));
    // Ranks, with means for ties, always have this mean.
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let sum = |x: &[f64], y: &[f64]| -> f64 {
        let products = x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean));
        products.sum()
    };
    let spread = (sum(&a, &a) * sum(&b, &b)).sqrt();
    (spread > 0.0).then(|| sum(&a, &b) / spread)
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let same = |at: &usize| values[*at] == values[order[from]];
        let n = order[from..].iter().take_while(|at| same(at)).count();
        let rank = (2 * from + n + 1) as f64 / 2.0;
        for at in &order[from..from + n] {
            ranks[*at] = rank;
        }
        from += n;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As scikit-learn's `cohen_kappa_score` and scipy's `spearmanr` have it.
    #[test]
    fn kappa_and_spearman_are_those_of_others() {
        let pairs = [
            (1.0, 1.0),
            (1.0, 0.0),
            (0.0, 0.0),
            (1.0, 1.0),
            (0.0, 1.0),
            (0.0, 0.0),
        ];
        let found = agreement("m", &pairs, 0.5).expect("pairs");
        assert_eq!((found.n, found.categories), (6, "values"));
        assert!((found.accuracy - 4.0 / 6.0).abs() < 1e-12);
        assert!((found.kappa.expect("kappa") - 1.0 / 3.0).abs() < 1e-12);
        let pairs = [(0.1, 1.0), (0.4, 2.0), (0.4, 3.0), (0.9, 3.0), (0.7, 5.0)];
        let found = agreement("m", &pairs, 0.5).expect("pairs");
        assert_eq!(found.categories, "threshold");
        assert!(
            (found.spearman.expect("ranks") - 0.763_157_894_736_842).abs() < 1e-12,
            "{found:?}"
        );
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        assert_eq!(agreement("m", &[], 0.5), None);
        let same = agreement("m", &[(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)], 0.5).expect("pairs");
        assert_eq!(
            (same.accuracy, same.kappa, same.spearman),
            (1.0, None, None)
        );
    }
}
