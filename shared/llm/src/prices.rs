//! The prices of one organisation: its own come before the catalogue's.

use std::sync::Arc;

use nodeai_pricing::{Overrides, Priced, Terms, catalogue, day_of_date};

use crate::Usage;
use crate::chat::Tier;

/// What requests of an organisation cost; by default what the catalogue says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices(Arc<Overrides>);

impl Prices {
    /// With an organisation's own prices, as the store has them.
    pub fn own(rows: Vec<serde_json::Value>) -> Self {
        Self(Arc::new(Overrides::from_rows(rows)))
    }

    /// What a request cost that was made at a time (µs since the epoch), with the version of the prices that were in force
    /// then; `None` when the model's price is not known. Saturates.
    pub fn cost_at(&self, reference: &str, usage: &Usage, at_us: i64) -> Option<Priced> {
        let terms = Terms {
            at_us,
            tier: usage.tier.map(Tier::as_str),
            region: None,
        };
        catalogue()
            .price_with(&self.0, reference, &usage.tokens(), &terms)
            .ok()
    }

    /// What so many tokens cost at most in the usual tier, in pico-USD; none when the model's price is not known. Every
    /// token counts with the highest price that it may have: written to the cache, above a threshold, in the dearest hour,
    /// at prices to come.
    pub fn most_cost(&self, reference: &str, most: &Usage) -> Option<i64> {
        let book = catalogue();
        let day = day_of_date(&book.as_of).unwrap_or(0);
        let (prompt, completion) = (most.prompt_tokens, most.completion_tokens);
        book.most_with(&self.0, reference, prompt, completion, day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const USAGE: Usage = Usage {
        prompt_tokens: 1_000,
        completion_tokens: 100,
        cached_tokens: 0,
        cache_write_tokens: 0,
        cache_write_1h_tokens: 0,
        reasoning_tokens: 0,
        audio_input_tokens: 0,
        image_input_tokens: 0,
        audio_output_tokens: 0,
        tier: None,
    };
    const AT_US: i64 = 1_790_000_000_000_000;

    fn prices() -> Prices {
        Prices::own(vec![
            json!({"id": "a", "version": 2, "model": "openai/gpt-4o-mini", "effective_from": null, "basis_points": 8_500}),
            json!({"id": "b", "version": 1, "model": "acme/own", "effective_from": "2026-01-01",
                "usd": {"input": "1", "output": "2"}}),
            json!({"id": "c", "version": 1, "model": "openai/gpt-4o", "usd": {"input": "9"}}),
            json!({"what": "cannot be read"}),
        ])
    }

    #[test]
    fn own_prices_come_first_and_say_which_they_are() {
        let usual = Prices::default();
        let plain = usual.cost_at("openai/gpt-4o-mini", &USAGE, AT_US).unwrap();
        let agreed = prices().cost_at("openai/gpt-4o-mini", &USAGE, AT_US);
        let agreed = agreed.unwrap();
        assert_eq!(agreed.pusd, plain.pusd * 85 / 100);
        assert_eq!(agreed.version, format!("{}+override/a/2", plain.version));
        assert_eq!(usual.cost_at("acme/own", &USAGE, AT_US), None);
        let own = prices().cost_at("acme/own", &USAGE, AT_US).unwrap();
        assert_eq!((own.pusd, &*own.version), (1_200_000_000, "override/b/1"));
    }

    #[test]
    fn no_call_costs_more_than_the_bound() {
        for (model, reference) in [
            ("acme/own", "acme/own"),
            ("openai/gpt-4o", "openai/gpt-4o"),
            ("openai/gpt-4o-mini", "openai/gpt-4o-mini-2024-07-18"),
        ] {
            let most = prices().most_cost(model, &USAGE).expect(model);
            let cost = prices().cost_at(reference, &USAGE, AT_US).expect(model);
            assert!(most >= cost.pusd, "{model}: {most} < {}", cost.pusd);
        }
        assert_eq!(prices().most_cost("acme/other", &USAGE), None);
    }
}
