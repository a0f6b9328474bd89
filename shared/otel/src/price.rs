//! What a call cost: the one place that asks the catalogue.

use nodeai_llm::{Prices, Usage};

/// Cost in pico-USD by the prices of that time (µs since the epoch), and which prices those are; `None` when the model's
/// price is not known.
pub fn price(
    prices: &Prices,
    provider: &str,
    model: &str,
    usage: &Usage,
    at_us: i64,
) -> Option<(i64, String)> {
    let priced = prices.cost_at(&reference(provider, model), usage, at_us)?;
    Some((priced.pusd, priced.version))
}

/// The catalogue's reference. Providers have other names in the conventions; a model may name its own.
fn reference(provider: &str, model: &str) -> String {
    let provider =
        match provider.to_ascii_lowercase().as_str() {
            "azure" | "azure.ai.openai" | "az.ai.openai" | "az.ai.inference"
            | "azure.ai.inference" => "openai".to_owned(),
            "google" | "vertexai" | "gcp.gemini" | "gcp.vertex_ai" | "gcp.gen_ai"
            | "google_genai" => "gemini".to_owned(),
            "" => return guess(model),
            other => other.to_owned(),
        };
    match model.starts_with(&format!("{provider}/")) {
        true => model.to_owned(),
        false => format!("{provider}/{model}"),
    }
}

/// OpenInference's older exporters do not name the provider: a model's family does.
fn guess(model: &str) -> String {
    let families = [
        ("gpt-", "openai"),
        ("o3", "openai"),
        ("o4", "openai"),
        ("claude-", "anthropic"),
        ("gemini-", "gemini"),
    ];
    let family = families
        .iter()
        .find(|(prefix, _)| model.starts_with(prefix));
    family.map_or_else(
        || model.to_owned(),
        |(_, provider)| format!("{provider}/{model}"),
    )
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
