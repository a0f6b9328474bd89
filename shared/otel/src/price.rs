//! What a call cost: the one place that asks the catalogue.

use nodeai_llm::{Usage, cost};

/// The tokens of a call by bucket; `prompt` and `completion` hold all of theirs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All tokens read.
    pub prompt: i64,
    /// All tokens written.
    pub completion: i64,
    /// Those read from the provider's cache.
    pub cache_read: i64,
}

/// Cost in pico-USD; `None` when the model's price is not known.
pub fn price(provider: &str, model: &str, tokens: &Tokens) -> Option<i64> {
    let usage = Usage {
        prompt_tokens: tokens.prompt,
        completion_tokens: tokens.completion,
        cached_tokens: tokens.cache_read,
    };
    cost(&reference(provider, model), &usage)
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
        let tokens = Tokens {
            prompt: 1_000,
            completion: 100,
            cache_read: 400,
        };
        for (provider, model) in [
            ("openai", "gpt-4o-mini"),
            ("OpenAI", "gpt-4o-mini-2024-07-18"),
            ("azure.ai.openai", "gpt-4o-mini"),
            ("", "gpt-4o-mini"),
            ("openai", "openai/gpt-4o-mini"),
        ] {
            assert_eq!(
                price(provider, model, &tokens),
                Some(180_000_000),
                "{provider} {model}"
            );
        }
        assert_eq!(price("acme", "gpt-4o-mini", &tokens), None);
    }
}
