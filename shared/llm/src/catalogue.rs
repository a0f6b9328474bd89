//! The model catalogue: what each model can do. What it costs is in `shared/pricing`.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::{Prices, Usage};

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The reference, such as `openai/gpt-4o-mini`.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// Most tokens it can read and write together.
    pub context_window: i64,
    /// Most tokens it can write.
    pub max_output_tokens: i64,
    /// `tools`, `json`, `vision`, `reasoning`.
    pub capabilities: Vec<String>,
    /// Something a user must know, such as that it is only for tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// All models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// The day on which it was true, `YYYY-MM-DD`.
    pub as_of: String,
    /// Where they come from.
    pub source: String,
    /// The models.
    pub models: Vec<Model>,
}

impl Catalogue {
    /// Finds a model by reference. A dated name (`gpt-4o-mini-2024-07-18`,
    /// `claude-sonnet-4-20250514`) is the model without the date.
    pub fn find(&self, reference: &str) -> Option<&Model> {
        let by_id = |id: &str| self.models.iter().find(|model| model.id == id);
        by_id(reference).or_else(|| by_id(without_date(reference)))
    }
}

/// The catalogue that is built in.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        // The file is part of the program and a test reads it: this cannot fail at run time.
        serde_json::from_str(include_str!("models.json")).expect("models.json is valid")
    })
}

/// What a request cost by the newest prices, in pico-USD; `None` when the model's price is not known. Saturates.
pub fn cost(reference: &str, usage: &Usage) -> Option<i64> {
    let as_of = nodeai_pricing::day_of_date(&nodeai_pricing::catalogue().as_of).unwrap_or(0);
    cost_at(reference, usage, as_of * nodeai_pricing::MICROS_PER_DAY).map(|priced| priced.pusd)
}

/// What a request cost that was made at a time (µs since the epoch), with the version of the prices that were in force then.
pub fn cost_at(reference: &str, usage: &Usage, at_us: i64) -> Option<nodeai_pricing::Priced> {
    Prices::default().cost_at(reference, usage, at_us)
}

fn without_date(reference: &str) -> &str {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let lengths: &[&[usize]] = &[&[8], &[4, 2, 2]];
    for shape in lengths {
        let parts: Vec<&str> = reference.rsplitn(shape.len() + 1, '-').collect();
        let dated = parts.len() == shape.len() + 1
            && parts
                .iter()
                .zip(shape.iter().rev())
                .all(|(p, n)| is_digits(p) && p.len() == *n);
        if dated {
            return parts[shape.len()];
        }
    }
    reference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_whole_and_its_reference_resolves() {
        let all = catalogue();
        assert!(all.models.len() > 10);
        for model in &all.models {
            let endpoint = crate::Endpoint::resolve(&model.id, None).expect(&model.id);
            assert_eq!(endpoint.reference(), model.id);
            let one = Usage {
                prompt_tokens: 1_000_000,
                completion_tokens: 1_000_000,
                ..Usage::default()
            };
            assert!(cost(&model.id, &one).is_some(), "{} has a price", model.id);
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
