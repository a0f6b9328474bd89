//! What providers say of tokens, brought to one meaning: totals that include their parts.

use nodeai_llm::{Endpoint, Prices, Tier, Usage, cost_at};
use serde_json::{Value, json};

/// 2026-11-18, noon UTC.
const AT_US: i64 = 1_795_003_200_000_000;

fn usage(model: &str, answer: Value) -> Usage {
    let endpoint = Endpoint::resolve(model, None).expect("known");
    let answer = endpoint.parse(answer.to_string().as_bytes());
    answer.expect("valid").usage.expect("counted")
}

fn chat(usage: Value) -> Value {
    json!({"model": "m", "choices": [{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}], "usage": usage})
}

#[test]
fn openais_parts_are_in_its_totals() {
    let mut answer = chat(
        json!({"prompt_tokens": 1000, "completion_tokens": 300, "total_tokens": 1300,
        "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 50},
        "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 40}}),
    );
    answer["service_tier"] = json!("priority");
    let usage = usage("openai/gpt-4o", answer);
    let tokens = usage.tokens();
    assert_eq!(
        (tokens.uncached, tokens.cache_read, tokens.audio_input),
        (350, 600, 50)
    );
    assert_eq!(
        (tokens.output_text, tokens.reasoning, tokens.audio_output),
        (60, 200, 40)
    );
    assert_eq!(usage.tier, Some(Tier::Priority));
}

#[test]
fn xai_counts_reasoning_apart_and_deepseek_names_its_cache_otherwise() {
    let xai = usage(
        "xai/grok-4",
        chat(
            json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115,
        "completion_tokens_details": {"reasoning_tokens": 100}}),
        ),
    );
    assert_eq!((xai.completion_tokens, xai.reasoning_tokens), (105, 100));
    let deepseek = usage(
        "deepseek/deepseek-chat",
        chat(json!({"prompt_tokens": 100, "completion_tokens": 5,
        "total_tokens": 105, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36})),
    );
    assert_eq!(deepseek.tokens().cache_read, 64);
}

#[test]
fn anthropics_input_is_what_no_cache_had() {
    let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 50, "output_tokens": 503, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 248,
            "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 148}, "service_tier": "batch"}});
    let usage = usage("anthropic/claude-sonnet-4-5", answer);
    let tokens = usage.tokens();
    assert_eq!((usage.prompt_tokens, tokens.uncached), (1298, 50));
    assert_eq!(
        (tokens.cache_read, tokens.cache_write, tokens.cache_write_1h),
        (1000, 100, 148)
    );
    // In a batch: 50 × 1.50 + 1,000 × 0.15 + 100 × 1.875 + 148 × 3 + 503 × 7.50 USD per million.
    let priced = cost_at("anthropic/claude-sonnet-4-5", &usage, AT_US).expect("a price");
    assert_eq!(
        priced.pusd,
        75_000_000 + 150_000_000 + 187_500_000 + 444_000_000 + 3_772_500_000
    );
}

#[test]
fn geminis_thoughts_are_output_and_sound_is_told_apart() {
    let answer = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 30, "thoughtsTokenCount": 70,
            "cachedContentTokenCount": 400, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 800},
            {"modality": "AUDIO", "tokenCount": 200}], "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}]}});
    let tokens = usage("gemini/gemini-2.5-flash", answer).tokens();
    assert_eq!(
        (tokens.uncached, tokens.cache_read, tokens.audio_input),
        (450, 400, 150)
    );
    assert_eq!((tokens.output_text, tokens.reasoning), (30, 70));
}

#[test]
fn a_bound_is_never_below_a_cost_in_any_bucket() {
    for model in [
        "openai/gpt-4o",
        "anthropic/claude-sonnet-4-5",
        "gemini/gemini-2.5-pro",
        "deepseek/deepseek-chat",
    ] {
        for (cached, written, hour) in [
            (0, 0, 0),
            (1000, 0, 0),
            (0, 1000, 0),
            (0, 0, 1000),
            (200, 300, 400),
        ] {
            for prompt in [1_000, 200_001, 1_000_000] {
                let usage = Usage {
                    prompt_tokens: prompt,
                    completion_tokens: 500,
                    cached_tokens: cached,
                    cache_write_tokens: written,
                    cache_write_1h_tokens: hour,
                    reasoning_tokens: 100,
                    ..Usage::default()
                };
                let cost = cost_at(model, &usage, AT_US).expect("a price").pusd;
                let most = Prices::default().most_cost(model, &usage).expect("a bound");
                assert!(cost <= most, "{model} {usage:?}: {cost} > {most}");
            }
        }
    }
}
