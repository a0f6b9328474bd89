//! A row of `metrics_query`: one time, one combination of the dimensions.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Sums of the calls or runs that began then.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Row {
    /// When, µs since the epoch.
    pub at_us: i64,
    /// Value of each dimension that was asked for; empty for none.
    pub key: BTreeMap<String, String>,
    /// How many.
    pub calls: i64,
    /// Of them, those that failed.
    pub errors: i64,
    /// Tokens read, with cached ones.
    pub prompt_tokens: i64,
    /// Tokens written, with those of reasoning.
    pub completion_tokens: i64,
    /// Of the tokens read, those from the provider's cache.
    pub cache_read_tokens: i64,
    /// Of the tokens written, those of reasoning.
    pub reasoning_tokens: i64,
    /// Pico-USD as text: sums may be larger than a number of JSON holds.
    pub cost_pusd: String,
    /// Model calls whose price is not known.
    pub unpriced_calls: i64,
    /// Half took at most this long, µs.
    pub p50_us: Option<f64>,
    /// 95 of 100 did.
    pub p95_us: Option<f64>,
    /// 99 of 100 did.
    pub p99_us: Option<f64>,
}

impl Row {
    /// Cost in pico-USD; saturates.
    pub fn pusd(&self) -> i64 {
        let exact = self.cost_pusd.parse::<i128>().unwrap_or(0);
        i64::try_from(exact).unwrap_or(i64::MAX)
    }
}
