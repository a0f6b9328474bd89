//! What could be saved: each advice is reckoned from calls that were made, with an interval that says how sure it is.
//!
//! Two kinds of uncertainty go in. What is certain of a call (it was a repetition, it failed) is counted as it was; where a
//! share of it is assumed, the interval goes from the least to the most that the assumption allows. Costs of many calls vary,
//! so a mean that is carried over to other calls has ±1.96 standard errors (the normal approximation).

use serde::Serialize;

use crate::{Bucket, Terms, Tokens, Unpriced, catalogue};

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
/// `growth`, `oversize`) with the prices at a time; none where there is nothing to save or the price is not known.
pub fn saving(kind: &str, of: &Calls, at_us: i64) -> Option<Saving> {
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
        "prompts" => cache_shortfall(of, at_us),
        "batchable" => other_terms(of, at_us),
        "tools" => tools(of, at_us),
        "growth" => growth(of, at_us),
        "oversize" => oversize(of, at_us),
        _ => None,
    }
}

/// The price of so many tokens of a bucket, pico-USD.
fn price(
    reference: &str,
    bucket: Bucket,
    tokens: i64,
    mean_prompt: i64,
    at_us: i64,
) -> Result<i128, Unpriced> {
    let mut one = Tokens::default();
    match bucket {
        Bucket::CacheRead => one.cache_read = tokens,
        _ => one.uncached = tokens,
    }
    let terms = Terms {
        at_us,
        ..Terms::default()
    };
    Ok(i128::from(
        catalogue()
            .price_heap(&Default::default(), reference, &one, &terms, mean_prompt, 0)?
            .pusd,
    ))
}

fn mean_prompt(of: &Calls) -> i64 {
    of.prompt_tokens / of.calls.max(1)
}

/// If half of what was read afresh had come from the cache (a quarter to nine tenths), where prompts are long enough for one.
fn cache_shortfall(of: &Calls, at_us: i64) -> Option<Saving> {
    const SHORTEST: i64 = 1_024;
    let mean = mean_prompt(of);
    if mean < SHORTEST || of.calls < 10 {
        return None;
    }
    let fresh = (of.prompt_tokens - of.cache_read_tokens).max(0);
    let full = price(&of.reference, Bucket::Uncached, fresh, mean, at_us).ok()?;
    let cached = price(&of.reference, Bucket::CacheRead, fresh, mean, at_us).ok()?;
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
fn other_terms(of: &Calls, at_us: i64) -> Option<Saving> {
    let tokens = Tokens {
        uncached: of.prompt_tokens - of.cache_read_tokens,
        cache_read: of.cache_read_tokens,
        output_text: of.completion_tokens,
        ..Tokens::default()
    };
    let at = |tier| {
        let terms = Terms {
            at_us,
            tier,
            region: None,
        };
        let priced = catalogue().price_heap(
            &Default::default(),
            &of.reference,
            &tokens,
            &terms,
            mean_prompt(of),
            of.calls,
        );
        priced.ok().map(|priced| i128::from(priced.pusd))
    };
    let gap = at(None)? - at(Some("batch"))?;
    Saving::new(
        0,
        gap / 2,
        gap,
        "the difference to batch prices for calls that were not streamed and belong to no session; half of it, between none \
         and all that can wait for hours",
    )
}

fn tools(of: &Calls, at_us: i64) -> Option<Saving> {
    let mean = mean_prompt(of);
    let at = |bytes_per_token: i64, share: (i128, i128)| {
        let cost = price(
            &of.reference,
            Bucket::Uncached,
            of.extra / bytes_per_token,
            mean,
            at_us,
        )
        .ok()?;
        Some(cost * share.0 / share.1)
    };
    Saving::new(
        at(BYTES_PER_TOKEN + 1, (1, 10))?,
        at(BYTES_PER_TOKEN, (1, 2))?,
        at(BYTES_PER_TOKEN - 1, (9, 10))?,
        "half of the tokens of tool definitions (a tenth to nine tenths), at four bytes a token (five to three)",
    )
}

fn growth(of: &Calls, at_us: i64) -> Option<Saving> {
    let all = price(
        &of.reference,
        Bucket::CacheRead,
        of.extra,
        mean_prompt(of),
        at_us,
    )
    .ok()?;
    let full = price(
        &of.reference,
        Bucket::Uncached,
        of.extra,
        mean_prompt(of),
        at_us,
    )
    .ok()?;
    Saving::new(
        all / 4,
        (all + full) / 4,
        full,
        "half of what prompts grew by within their session, at a price between the cached and the full one",
    )
}

/// A smaller model of the same family, for answers that are short and calls that read little.
fn oversize(of: &Calls, at_us: i64) -> Option<Saving> {
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
    let terms = Terms {
        at_us,
        ..Terms::default()
    };
    let priced = catalogue().price_heap(
        &Default::default(),
        smaller,
        &tokens,
        &terms,
        mean_prompt(of),
        of.calls,
    );
    let gap = of.pusd - i128::from(priced.ok()?.pusd);
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
            let saving = saving(kind, &calls(), AT_US).expect(kind);
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
            saving("prompts", &calls(), AT_US).map(|s| s.pusd),
            Some(125_000_000_000)
        );
        let cached = Calls {
            cache_read_tokens: 150_000,
            ..calls()
        };
        assert_eq!(
            saving("prompts", &cached, AT_US),
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
        assert_eq!(saving("prompts", &unknown, AT_US), None);
        assert_eq!(saving("oversize", &unknown, AT_US), None);
    }
}
