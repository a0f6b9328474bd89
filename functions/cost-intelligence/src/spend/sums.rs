//! Sums of tokens and money, as the store gives them and as the API shows them.

use nodeai_pricing::{Inclusive, Tokens, usd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a SQL function sums.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Sums {
    pub calls: i64,
    pub errors: i64,
    pub unpriced_calls: i64,
    #[serde(flatten)]
    pub counted: Inclusive,
    /// Pico-USD as text.
    pub pusd: String,
}

impl Sums {
    /// The money in pico-USD.
    pub fn pusd(&self) -> i128 {
        self.pusd.parse().unwrap_or(0)
    }

    /// The tokens in buckets that share none.
    pub fn tokens(&self) -> Tokens {
        self.counted.into()
    }
}

/// Money, rounded and exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Money {
    /// Micro-USD, rounded once.
    pub usd_micros: i64,
    /// USD in decimal notation, exact.
    pub usd: String,
}

impl From<i128> for Money {
    fn from(pusd: i128) -> Self {
        let micros = pusd.saturating_add(500_000).div_euclid(1_000_000);
        Self {
            usd_micros: i64::try_from(micros).unwrap_or(i64::MAX),
            usd: usd(pusd),
        }
    }
}

/// Tokens by bucket; no token is in two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TokensShown {
    /// Text read that no cache had.
    uncached: i64,
    /// Read from the provider's cache.
    cache_read: i64,
    /// Written to it for five minutes.
    cache_write: i64,
    /// Written to it for an hour.
    cache_write_1h: i64,
    /// Sound heard.
    audio_input: i64,
    /// Pictures seen.
    image_input: i64,
    /// Text answered.
    output_text: i64,
    /// Reasoning.
    reasoning: i64,
    /// Sound spoken.
    audio_output: i64,
}

impl From<Tokens> for TokensShown {
    fn from(t: Tokens) -> Self {
        Self {
            uncached: t.uncached,
            cache_read: t.cache_read,
            cache_write: t.cache_write,
            cache_write_1h: t.cache_write_1h,
            audio_input: t.audio_input,
            image_input: t.image_input,
            output_text: t.output_text,
            reasoning: t.reasoning,
            audio_output: t.audio_output,
        }
    }
}

/// A sum as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Spend {
    /// Calls that were counted.
    calls: i64,
    /// Those that failed.
    errors: i64,
    /// Those whose price was not known: they are not in the cost.
    unpriced_calls: i64,
    /// Tokens by bucket.
    tokens: TokensShown,
    /// What they cost.
    cost: Money,
}

impl From<&Sums> for Spend {
    fn from(sums: &Sums) -> Self {
        Self {
            calls: sums.calls,
            errors: sums.errors,
            unpriced_calls: sums.unpriced_calls,
            tokens: sums.tokens().into(),
            cost: sums.pusd().into(),
        }
    }
}
