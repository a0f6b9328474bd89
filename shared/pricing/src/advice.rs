//! What could be saved: each advice is reckoned from calls that were made, with an interval that says how sure it is.
//!
//! Two kinds of uncertainty go in. What is certain of a call (it was a repetition, it failed) is counted as it was; where a
//! share of it is assumed, the interval goes from the least to the most that the assumption allows. Costs of many calls vary,
//! so a mean that is carried over to other calls has ±1.96 standard errors (the normal approximation).

use serde::Serialize;

use crate::{Bucket, Overrides, Terms, Tokens, Unpriced, catalogue};

/// Calls of one node and model that an advice is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calls {
    /// The model, `provider/model`.
    pub reference: String,
    /// How many.
    pub calls: i64,
    /// What they cost, pico-USD.
    pub pusd: i128,
    /// The sum of the squares of what each cost.
    pub pusd_squared: f64,
    /// Tokens read.
    pub prompt_tokens: i64,
    /// Of them, from the cache.
    pub cache_read_tokens: i64,
    /// Tokens written.
    pub completion_tokens: i64,
    /// The most that one of them wrote.
    pub longest_answer: i64,
    /// What the kind needs besides: bytes of tool definitions, tokens of growth.
    pub extra: i64,
}

/// A saving in pico-USD for the time looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saving {
    /// The best guess.
    pub pusd: i128,
    /// Most likely not less.
    pub low_pusd: i128,
    /// Most likely not more.
    pub high_pusd: i128,
    /// How it was reckoned.
    pub method: &'static str,
}

impl Saving {
    fn new(low: i128, pusd: i128, high: i128, method: &'static str) -> Option<Self> {
        let low = low.clamp(0, pusd);
        (pusd > 0).then(|| Self {
            pusd,
            low_pusd: low,
            high_pusd: high.max(pusd),
            method,
        })
    }
}

/// Bytes of JSON that a token of it stands for, about: 3 to 5 with the tokenisers in use.
const BYTES_PER_TOKEN: i64 = 4;

/// The saving of one kind of advice (`duplicates`, `retries`, `truncations`, `prompts` for the cache, `batchable`, `tools`,
/// `growth`, `oversize`) with the prices at a time, the organisation's own ones first, which the calls were paid at; none
/// where there is nothing to save or the price is not known.
pub fn saving(kind: &str, of: &Calls, own: &Overrides, at_us: i64) -> Option<Saving> {
    let at = At { own, us: at_us };
    match kind {
        "duplicates" => Saving::new(
            of.pusd * 9 / 10,
            of.pusd,
            of.pusd,
            "the cost of each call whose prompt, node and model had been seen before; at least nine tenths, since some \
             repetitions may want another answer",
        ),
        "retries" => Saving::new(
            0,
            of.pusd / 2,
            of.pusd,
            "the cost of calls that failed after tokens had been used; half of it, between nothing and all that can be avoided",
        ),
        "truncations" => Saving::new(
            of.pusd / 4,
            of.pusd / 2,
            of.pusd,
            "the cost of answers cut off at their limit; half of it, from a quarter to all, since a cut answer may be of use",
        ),
        "prompts" => cache_shortfall(of, at),
        "batchable" => other_terms(of, at),
        "tools" => tools(of, at),
        "growth" => growth(of, at),
        "oversize" => oversize(of, at),
        _ => None,
    }
}

/// Whose prices count, and when.
#[derive(Clone, Copy)]
struct At<'a> {
    own: &'a Overrides,
    us: i64,
}

impl At<'_> {
    /// The price of so many tokens of a bucket, pico-USD.
    fn bucket(self, of: &Calls, bucket: Bucket, tokens: i64) -> Result<i128, Unpriced> {
        let tokens = Tokens::only(bucket, tokens);
        self.price(&of.reference, &tokens, None, mean_prompt(of), 0)
    }

    fn price(
        self,
        reference: &str,
        tokens: &Tokens,
        tier: Option<&str>,
        prompt: i64,
        requests: i64,
    ) -> Result<i128, Unpriced> {
        let terms = Terms {
            at_us: self.us,
            tier,
            region: None,
        };
        let priced =
            catalogue().price_heap(self.own, reference, tokens, &terms, prompt, requests)?;
        Ok(i128::from(priced.pusd))
    }
}

fn mean_prompt(of: &Calls) -> i64 {
    of.prompt_tokens / of.calls.max(1)
}

/// If half of what was read afresh had come from the cache (a quarter to nine tenths), where prompts are long enough for one.
fn cache_shortfall(of: &Calls, at: At<'_>) -> Option<Saving> {
    const SHORTEST: i64 = 1_024;
    let mean = mean_prompt(of);
    if mean < SHORTEST || of.calls < 10 {
        return None;
    }
    let fresh = (of.prompt_tokens - of.cache_read_tokens).max(0);
    let full = at.bucket(of, Bucket::Uncached, fresh).ok()?;
    let cached = at.bucket(of, Bucket::CacheRead, fresh).ok()?;
    let gap = full - cached;
    // Where less than half came from the cache already.
    if of.cache_read_tokens * 2 > of.prompt_tokens {
        return None;
    }
    Saving::new(
        gap / 4,
        gap / 2,
        gap * 9 / 10,
        "half of the tokens read afresh at the price of cached ones (a quarter to nine tenths), for prompts of at least 1,024 \
         tokens of which less than half came from the cache; what writing a cache costs is not in it",
    )
}

/// The same in a batch: for calls that nobody waited for.
fn other_terms(of: &Calls, at: At<'_>) -> Option<Saving> {
    let tokens = Tokens {
        uncached: of.prompt_tokens - of.cache_read_tokens,
        cache_read: of.cache_read_tokens,
        output_text: of.completion_tokens,
        ..Tokens::default()
    };
    let cost = |tier| {
        let priced = at.price(&of.reference, &tokens, tier, mean_prompt(of), of.calls);
        priced.ok()
    };
    let gap = cost(None)? - cost(Some("batch"))?;
    Saving::new(
        0,
        gap / 2,
        gap,
        "the difference to batch prices for calls that were not streamed and belong to no session; half of it, between none \
         and all that can wait for hours",
    )
}

fn tools(of: &Calls, at: At<'_>) -> Option<Saving> {
    let cost = |bytes_per_token: i64, share: (i128, i128)| {
        let tokens = of.extra / bytes_per_token;
        let cost = at.bucket(of, Bucket::Uncached, tokens).ok()?;
        Some(cost * share.0 / share.1)
    };
    Saving::new(
        cost(BYTES_PER_TOKEN + 1, (1, 10))?,
        cost(BYTES_PER_TOKEN, (1, 2))?,
        cost(BYTES_PER_TOKEN - 1, (9, 10))?,
        "half of the tokens of tool definitions (a tenth to nine tenths), at four bytes a token (five to three)",
    )
}

fn growth(of: &Calls, at: At<'_>) -> Option<Saving> {
    let all = at.bucket(of, Bucket::CacheRead, of.extra).ok()?;
    let full = at.bucket(of, Bucket::Uncached, of.extra).ok()?;
    Saving::new(
        all / 4,
        (all + full) / 4,
        full,
        "half of what prompts grew by within their session, at a price between the cached and the full one",
    )
}

/// A smaller model of the same family, for answers that are short and calls that read little.
fn oversize(of: &Calls, at: At<'_>) -> Option<Saving> {
    if of.longest_answer > 300 || mean_prompt(of) > 4_000 || of.calls < 20 {
        return None;
    }
    let smaller = smaller(&of.reference)?;
    let tokens = Tokens {
        uncached: of.prompt_tokens - of.cache_read_tokens,
        cache_read: of.cache_read_tokens,
        output_text: of.completion_tokens,
        ..Tokens::default()
    };
    let priced = at.price(smaller, &tokens, None, mean_prompt(of), of.calls);
    let gap = of.pusd - priced.ok()?;
    let error = standard_error(of) * 1.96;
    Saving::new(
        (gap / 2) - error as i128,
        gap,
        gap + error as i128,
        "the difference to the next smaller model of the family for the same tokens, where no answer had more than 300 of \
         them; from half of it, since some calls may need the larger one, ±1.96 standard errors of the cost of the calls",
    )
}

/// The standard error of the sum of the costs.
fn standard_error(of: &Calls) -> f64 {
    let n = of.calls.max(1) as f64;
    let mean = of.pusd as f64 / n;
    (of.pusd_squared / n - mean * mean).max(0.0).sqrt() * n.sqrt()
}

/// The next smaller model of the same family.
pub fn smaller(reference: &str) -> Option<&'static str> {
    const SMALLER: &[(&str, &str)] = &[
        ("openai/gpt-5", "openai/gpt-5-mini"),
        ("openai/gpt-5-mini", "openai/gpt-5-nano"),
        ("openai/gpt-4o", "openai/gpt-4o-mini"),
        ("openai/gpt-4.1", "openai/gpt-4.1-mini"),
        ("openai/gpt-4.1-mini", "openai/gpt-4.1-nano"),
        ("anthropic/claude-opus-4-5", "anthropic/claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-4-5"),
        ("gemini/gemini-2.5-pro", "gemini/gemini-2.5-flash"),
        ("gemini/gemini-2.5-flash", "gemini/gemini-2.5-flash-lite"),
    ];
    let id = &catalogue().find(reference)?.id;
    SMALLER
        .iter()
        .find(|(large, _)| large == id)
        .map(|(_, small)| *small)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_US: i64 = 1_795_000_000_000_000;

    fn calls() -> Calls {
        Calls {
            reference: "openai/gpt-4o".into(),
            calls: 100,
            pusd: 300_000_000_000,
            pusd_squared: 1e21,
            prompt_tokens: 200_000,
            completion_tokens: 10_000,
            longest_answer: 150,
            extra: 40_000,
            ..Calls::default()
        }
    }

    #[test]
    fn every_saving_lies_in_its_interval_and_below_what_was_paid() {
        let kinds = [
            "duplicates",
            "retries",
            "truncations",
            "prompts",
            "batchable",
            "tools",
            "growth",
            "oversize",
        ];
        for kind in kinds {
            let saving = saving(kind, &calls(), &Overrides::default(), AT_US).expect(kind);
            assert!(
                0 <= saving.low_pusd
                    && saving.low_pusd <= saving.pusd
                    && saving.pusd <= saving.high_pusd,
                "{kind}"
            );
            assert!(saving.pusd <= 600_000_000_000, "{kind}: {saving:?}");
        }
    }

    #[test]
    fn the_cache_saves_half_of_the_difference_of_the_prices() {
        // 200,000 × (2.50 − 1.25) USD per million, half of it.
        assert_eq!(
            saving("prompts", &calls(), &Overrides::default(), AT_US).map(|s| s.pusd),
            Some(125_000_000_000)
        );
        let cached = Calls {
            cache_read_tokens: 150_000,
            ..calls()
        };
        assert_eq!(
            saving("prompts", &cached, &Overrides::default(), AT_US),
            None,
            "most came from it already"
        );
    }

    #[test]
    fn what_has_no_price_has_no_advice() {
        let unknown = Calls {
            reference: "acme/x".into(),
            ..calls()
        };
        assert_eq!(
            saving("prompts", &unknown, &Overrides::default(), AT_US),
            None
        );
        assert_eq!(
            saving("oversize", &unknown, &Overrides::default(), AT_US),
            None
        );
    }

    #[test]
    fn what_is_agreed_with_the_provider_is_what_is_saved() {
        let own = |rows| Overrides::from_rows(serde_json::from_value(rows).expect("rows"));
        let half =
            serde_json::json!([{"id": "a", "model": "openai/gpt-4o", "basis_points": 5_000}]);
        let saved = |kind, own: &Overrides| saving(kind, &calls(), own, AT_US).map(|s| s.pusd);
        assert_eq!(saved("prompts", &own(half)), Some(62_500_000_000));
        // The smaller model at a price of one's own: 200,000 × 1 + 10,000 × 2 USD per million.
        let small = serde_json::json!([{"id": "b", "model": "openai/gpt-4o-mini", "usd": {"input": "1", "output": "2"}}]);
        assert_eq!(
            saved("oversize", &own(small)),
            Some(300_000_000_000 - 220_000_000_000)
        );
        let none = Calls {
            reference: "acme/x".into(),
            ..calls()
        };
        let acme = serde_json::json!([{"id": "c", "model": "acme/x", "usd": {"input": "2", "cache_read": "1", "output": "2"}}]);
        let saved = saving("prompts", &none, &own(acme), AT_US);
        assert_eq!(saved.map(|s| s.pusd), Some(100_000_000_000));
    }
}
