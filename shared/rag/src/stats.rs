//! How sure a mean is, and whether one system is really better than another.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Resamples of a bootstrap, and permutations of a test.
const ROUNDS: usize = 2_000;

/// A mean with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean; none of nothing.
    pub mean: Option<f64>,
    /// Of so many values.
    pub n: usize,
    /// 95 % percentile bootstrap interval (B. Efron, "Bootstrap methods", 1979); none of fewer than two values.
    pub interval: Option<(f64, f64)>,
}

/// The mean of scores with its interval. The same seed gives the same interval everywhere.
pub fn mean(scores: &[f64], seed: u64) -> Mean {
    if scores.len() < 2 {
        return Mean {
            mean: scores.first().copied(),
            n: scores.len(),
            interval: None,
        };
    }
    let mut means = resampled(scores, seed);
    means.sort_unstable_by(f64::total_cmp);
    Mean {
        mean: Some(average(scores)),
        n: scores.len(),
        interval: Some((quantile(&means, 0.025), quantile(&means, 0.975))),
    }
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn resampled(values: &[f64], seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let n = values.len();
    let mut one = || {
        let drawn = (0..n).map(|_| values[random.random_range(0..n)]);
        drawn.sum::<f64>() / n as f64
    };
    (0..ROUNDS).map(|_| one()).collect()
}

/// A quantile of sorted values, between two of them in proportion (R's type 7).
fn quantile(sorted: &[f64], at: f64) -> f64 {
    let place = at * (sorted.len() - 1) as f64;
    let (low, part) = (place.floor(), place.fract());
    let (low, high) = (low as usize, (low as usize + 1).min(sorted.len() - 1));
    sorted[low] + part * (sorted[high] - sorted[low])
}

/// Two systems on the same queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// Mean of the differences: positive where the second system is better.
    pub difference: f64,
    /// Queries that both were scored on.
    pub n: usize,
    /// 95 % paired bootstrap interval of the difference; none of fewer than two queries.
    pub interval: Option<(f64, f64)>,
    /// How often chance alone makes a difference as large, by a two-sided paired randomisation test (M. Smucker, J. Allan,
    /// B. Carterette, CIKM 2007); none of fewer than two queries.
    pub p: Option<f64>,
    /// Queries on which the second one is better, and worse.
    pub better: usize,
    /// See `better`.
    pub worse: usize,
}

/// Compares two systems by their scores on the same queries, in the same order. Scores beyond the shorter list do not count.
pub fn compare(first: &[f64], second: &[f64], seed: u64) -> Comparison {
    let pairs = first.iter().zip(second);
    let differences: Vec<f64> = pairs.map(|(a, b)| b - a).collect();
    let n = differences.len();
    let difference = if n == 0 { 0.0 } else { average(&differences) };
    let enough = n >= 2;
    Comparison {
        difference,
        n,
        interval: mean(&differences, seed).interval,
        p: enough.then(|| randomisation(&differences, seed)),
        better: differences.iter().filter(|d| **d > 0.0).count(),
        worse: differences.iter().filter(|d| **d < 0.0).count(),
    }
}

/// Signs are flipped at random; exactly, over all of them, where there are few. The observed one counts among them, so that p
/// is never 0.
fn randomisation(differences: &[f64], seed: u64) -> f64 {
    let seen = differences.iter().sum::<f64>().abs();
    // Sums of the same numbers in another order may differ in their last bits.
    let reaches = |sum: f64| sum.abs() >= seen - 1e-12 * (1.0 + seen);
    let n = differences.len();
    if n <= 13 {
        let all = 1_u32 << n;
        let flipped = |signs: u32| -> f64 {
            let signed = differences.iter().enumerate();
            signed
                .map(|(i, d)| if signs >> i & 1 == 1 { -d } else { *d })
                .sum()
        };
        let count = (0..all).filter(|signs| reaches(flipped(*signs))).count();
        return count as f64 / f64::from(all);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut one = || -> f64 {
        let mut bits = 0_u64;
        let signed = differences.iter().enumerate().map(|(i, d)| {
            if i % 64 == 0 {
                bits = random.random();
            }
            if bits >> (i % 64) & 1 == 1 { -d } else { *d }
        });
        signed.sum()
    };
    let count = (0..ROUNDS).filter(|_| reaches(one())).count();
    (count + 1) as f64 / (ROUNDS + 1) as f64
}

/// Holm's step-down correction for several tests at once (S. Holm, Scand. J. Statist. 6, 1979): p-values in their order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_unstable_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, at) in order.iter().enumerate() {
        let scaled = (p[*at] * (p.len() - rank) as f64).min(1.0);
        highest = highest.max(scaled);
        corrected[*at] = highest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_the_mean_and_repeats() {
        let scores: Vec<f64> = (0..100).map(|i| f64::from(i % 10) / 10.0).collect();
        let first = mean(&scores, 1);
        let (low, high) = first.interval.expect("enough");
        assert!(low < 0.45 && 0.45 < high && high - low < 0.15);
        assert_eq!(first, mean(&scores, 1));
        assert_eq!(mean(&[], 1).mean, None);
        assert_eq!(mean(&[0.5], 1).interval, None);
    }

    #[test]
    fn a_difference_is_found_and_noise_is_not() {
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) % 1_000) / 1_000.0;
        let first: Vec<f64> = (0..100).map(noise).collect();
        let better: Vec<f64> = first.iter().map(|s| s + 0.05).collect();
        let found = compare(&first, &better, 7);
        assert!(found.p.expect("p") < 0.001 && found.better == 100);
        let other: Vec<f64> = (0..100).map(|i| noise(i + 1_000)).collect();
        assert!(compare(&first, &other, 7).p.expect("p") > 0.05);
        let same = compare(&first, &first, 7);
        assert_eq!((same.difference, same.p), (0.0, Some(1.0)));
    }

    #[test]
    fn a_small_test_is_exact() {
        // All three differences have one sign: of eight sign patterns the observed one and its mirror image reach it.
        assert_eq!(compare(&[0.0; 3], &[0.1, 0.2, 0.3], 1).p, Some(0.25));
    }

    /// The published example of R's `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`.
    #[test]
    fn holm_is_rs_p_adjust() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (ours, r) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((ours - r).abs() < 1e-12, "{corrected:?}");
        }
    }
}
