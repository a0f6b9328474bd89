//! Classical decomposition by moving averages, and the test whether a series has a season at all.

use crate::stats::mean;

/// How the season goes into the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `trend + season + rest`
    Additive,
    /// `trend × season × rest`
    Multiplicative,
}

/// The 95 % quantile of the normal distribution.
const NORMAL_95: f64 = 1.644_853_626_951_472_2;

/// Whether the autocorrelation at lag `m` differs from 0, at 90 % (Assimakopoulos and Nikolopoulos, International Journal
/// of Forecasting 16, 2000). Never for seasons below 4 or less than two of them.
pub fn is_seasonal(y: &[f64], m: usize) -> bool {
    if m < 4 || y.len() < 2 * m {
        return false;
    }
    let middle = mean(y);
    let total: f64 = y.iter().map(|v| (v - middle).powi(2)).sum();
    if total <= 0.0 {
        return false;
    }
    let correlation = |lag: usize| {
        let pairs = y.iter().zip(&y[lag..]);
        pairs.map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>() / total
    };
    let before: f64 = (1..m).map(|lag| correlation(lag).powi(2)).sum();
    let limit = ((1.0 + 2.0 * before) / y.len() as f64).sqrt();
    correlation(m).abs() / limit > NORMAL_95
}

/// The season of `y`, one value for each of the `m` places, beginning with that of `y[0]`. `y` has at least `2 m` values.
pub fn season(y: &[f64], m: usize, form: Form) -> Vec<f64> {
    let half = m / 2;
    let mut sums = vec![(0.0, 0_usize); m];
    for i in half..y.len().saturating_sub(half) {
        let trend = centred(y, i, m);
        let rest = match form {
            Form::Additive => y[i] - trend,
            Form::Multiplicative => y[i] / trend,
        };
        sums[i % m].0 += rest;
        sums[i % m].1 += 1;
    }
    let averages: Vec<f64> = sums
        .iter()
        .map(|(sum, n)| sum / (*n).max(1) as f64)
        .collect();
    let middle = mean(&averages);
    let normal = |v: &f64| match form {
        Form::Additive => v - middle,
        Form::Multiplicative => v / middle,
    };
    averages.iter().map(normal).collect()
}

/// The moving average of one season around `i`; of an even season the two ends count half.
fn centred(y: &[f64], i: usize, m: usize) -> f64 {
    let half = m / 2;
    let window = &y[i - half..=i + half];
    let sum: f64 = window.iter().sum();
    if m % 2 == 1 {
        return sum / m as f64;
    }
    (sum - (window[0] + window[m]) / 2.0) / m as f64
}
