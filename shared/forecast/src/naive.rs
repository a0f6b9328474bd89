//! The simplest forecasts: the mean, and the season before.

use crate::stats::mean;

/// Every day as the mean of all days.
pub fn mean_forecast(y: &[f64], horizon: usize) -> Vec<f64> {
    vec![mean(y); horizon]
}

/// Every day as the last one in the same place of the season `m`. The mean where there is no whole season.
pub fn seasonal_naive(y: &[f64], m: usize, horizon: usize) -> Vec<f64> {
    if m == 0 || y.len() < m {
        return mean_forecast(y, horizon);
    }
    let season = &y[y.len() - m..];
    (0..horizon).map(|step| season[step % m]).collect()
}
