//! What a call cost: the one place that asks the catalogue.

use nodeai_llm::{Prices, Usage};
use nodeai_pricing::reference_of;

/// Cost in pico-USD by the prices of that time (µs since the epoch), and which prices those are; `None` when the model's
/// price is not known.
pub fn price(
    prices: &Prices,
    provider: &str,
    model: &str,
    usage: &Usage,
    at_us: i64,
) -> Option<(i64, String)> {
    let priced = prices.cost_at(&reference_of(provider, model), usage, at_us)?;
    Some((priced.pusd, priced.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_known_by_all_their_names() {
        let usage = Usage {
            prompt_tokens: 1_000,
            completion_tokens: 100,
            cached_tokens: 400,
            ..Usage::default()
        };
        let at_us = 1_760_000_000_000_000;
        for (provider, model) in [
            ("openai", "gpt-4o-mini"),
            ("OpenAI", "gpt-4o-mini-2024-07-18"),
            ("azure.ai.openai", "gpt-4o-mini"),
            ("", "gpt-4o-mini"),
            ("openai", "openai/gpt-4o-mini"),
        ] {
            assert_eq!(
                price(&Prices::default(), provider, model, &usage, at_us).map(|(pusd, _)| pusd),
                Some(180_000_000),
                "{provider} {model}"
            );
        }
        let unknown = price(&Prices::default(), "acme", "gpt-4o-mini", &usage, at_us);
        assert_eq!(unknown, None);
    }
}
