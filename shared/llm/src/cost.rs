//! What requests cost, by the prices of `nodeai-pricing`.

use crate::{Prices, Usage};

/// What a request cost by the newest prices, in pico-USD; `None` when the model's price is not known. Saturates.
pub fn cost(reference: &str, usage: &Usage) -> Option<i64> {
    let as_of = nodeai_pricing::day_of_date(&nodeai_pricing::catalogue().as_of).unwrap_or(0);
    cost_at(reference, usage, as_of * nodeai_pricing::MICROS_PER_DAY).map(|priced| priced.pusd)
}

/// What a request cost that was made at a time (µs since the epoch), with the version of the prices that were in force then.
pub fn cost_at(reference: &str, usage: &Usage, at_us: i64) -> Option<nodeai_pricing::Priced> {
    Prices::default().cost_at(reference, usage, at_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chat_model_of_the_catalogue_can_be_called() {
        for model in &nodeai_models::catalogue().models {
            if model.kind != nodeai_models::Kind::Chat {
                continue;
            }
            let endpoint = crate::Endpoint::resolve(&model.id, None).expect(&model.id);
            assert_eq!(endpoint.reference(), model.id);
        }
    }

    #[test]
    fn cost_is_exact() {
        let usage = Usage {
            prompt_tokens: 1_000,
            completion_tokens: 100,
            cached_tokens: 400,
            ..Usage::default()
        };
        // 600 × 0.15 + 400 × 0.075 + 100 × 0.60 USD per million.
        assert_eq!(cost("openai/gpt-4o-mini", &usage), Some(180_000_000));
        assert_eq!(
            cost("openai/gpt-4o-mini-2024-07-18", &usage),
            Some(180_000_000)
        );
        assert_eq!(cost("builtin/echo", &usage), Some(0));
        assert_eq!(cost("acme/unknown", &usage), None);
    }

    #[test]
    fn cost_saturates_and_never_turns_negative() {
        let usage = Usage {
            prompt_tokens: i64::MAX,
            completion_tokens: -5,
            cached_tokens: -1,
            ..Usage::default()
        };
        assert_eq!(cost("openai/gpt-4o", &usage), Some(i64::MAX));
    }
}
