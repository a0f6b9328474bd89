//! What a request may cost at most, known before it is sent. A bound, never an estimate: nothing that a provider bills may
//! be above it.

use nodeai_models::{Capability, catalogue};

use crate::{ChatRequest, Usage};

/// Most tokens that one picture counts for anywhere. The highest known is gpt-4o-mini's: 2,833 and 5,667 for each of at
/// most eight tiles.
const PICTURE: i64 = 50_000;
/// What a provider puts around a conversation: roles, separators.
const FRAME: i64 = 64;
/// What it puts around tools and schemas: Anthropic's instructions for tools have up to about 530 tokens.
const TOOLS: i64 = 1_024;
/// Most tokens that an answer may have where neither the node nor the provider says less; reasoning counts as output, so
/// models that reason get more.
const OUTPUT: i64 = 4_096;
const OUTPUT_OF_REASONING: i64 = 16_384;

/// The request with a limit for its answer, so that there is a bound: its own, or the usual one.
pub fn bounded(chat: &ChatRequest, reference: &str) -> ChatRequest {
    let max_tokens = chat.max_tokens.unwrap_or_else(|| usual_output(reference));
    ChatRequest {
        max_tokens: Some(max_tokens),
        ..chat.clone()
    }
}

fn usual_output(reference: &str) -> u32 {
    let known = catalogue().find(reference);
    let reasons = known.is_some_and(|model| model.can(Capability::Reasoning));
    let usual = if reasons { OUTPUT_OF_REASONING } else { OUTPUT };
    let most = known.and_then(|model| model.max_output_tokens);
    let most = most.map_or(usual, |most| most.min(usual));
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Most tokens that a [`bounded`] request can use, whose body has `bytes` bytes as it is sent.
///
/// Every token of the tokenisers in use (byte-level BPE, SentencePiece with byte fallback) stands for at least one byte
/// of text, and the body has the text with JSON's own characters around it.
pub fn most_usage(chat: &ChatRequest, bytes: usize) -> Usage {
    let pictures: usize = chat.messages.iter().map(|m| m.images.len()).sum();
    let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let has_schemas = !chat.tools.is_empty() || chat.response_format.is_some();
    let around = if has_schemas { FRAME + TOOLS } else { FRAME };
    Usage {
        prompt_tokens: whole(bytes)
            .saturating_add(whole(pictures).saturating_mul(PICTURE))
            .saturating_add(around),
        completion_tokens: i64::from(chat.max_tokens.unwrap_or(u32::MAX)),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Image, Message, Prices, Role, Tool};
    use serde_json::json;

    fn bound(chat: &ChatRequest, reference: &str) -> Usage {
        let endpoint = Endpoint::resolve(reference, None).expect("known");
        let chat = bounded(chat, reference);
        let request = endpoint.request(&chat, None, false).expect("a request");
        let limit: serde_json::Value = serde_json::from_slice(request.body()).expect("JSON");
        let sent = ["max_tokens", "max_completion_tokens"].map(|name| limit[name].as_i64());
        let sent = sent.into_iter().flatten().next();
        let sent = sent.or(limit["generationConfig"]["maxOutputTokens"].as_i64());
        let most = most_usage(&chat, request.body().len());
        assert_eq!(
            sent,
            Some(most.completion_tokens),
            "the limit is sent along"
        );
        most
    }

    #[test]
    fn a_prompt_has_at_most_as_many_tokens_as_bytes() {
        // The worst that a byte-level tokeniser can do is one token for each byte.
        for text in ["", "a", "ﷺ🧑‍🚀\u{1}\"\\\n", &"𓀀".repeat(500)] {
            let chat = ChatRequest {
                messages: vec![
                    Message::new(Role::User, text),
                    Message::new(Role::Tool, text),
                ],
                system: Some(text.to_owned()),
                ..ChatRequest::default()
            };
            for model in [
                "openai/gpt-4o",
                "anthropic/claude-sonnet-4-5",
                "gemini/gemini-2.5-flash",
            ] {
                let most = bound(&chat, model).prompt_tokens;
                assert!(
                    most >= 3 * text.len() as i64 + FRAME,
                    "{model} {text:?}: {most}"
                );
            }
        }
    }

    #[test]
    fn pictures_and_tools_have_room() {
        let mut chat = ChatRequest {
            messages: vec![Message::new(Role::User, "what is this?")],
            ..ChatRequest::default()
        };
        let plain = bound(&chat, "openai/gpt-4o-mini").prompt_tokens;
        chat.messages[0].images.push(Image {
            url: "https://a.example/b.png".into(),
            detail: None,
        });
        let seen = bound(&chat, "openai/gpt-4o-mini").prompt_tokens;
        assert!(seen - plain >= 2_833 + 8 * 5_667);
        chat.tools.push(Tool {
            name: "t".into(),
            description: None,
            parameters: json!({}),
        });
        assert!(bound(&chat, "openai/gpt-4o-mini").prompt_tokens - seen >= 530);
    }

    #[test]
    fn an_answer_has_the_nodes_limit_or_the_usual_one() {
        let output = |max_tokens: Option<u32>, model: &str| {
            let chat = ChatRequest {
                max_tokens,
                ..ChatRequest::default()
            };
            bounded(&chat, model).max_tokens
        };
        assert_eq!(output(Some(7), "openai/gpt-4o"), Some(7));
        assert_eq!(output(None, "openai/gpt-4o"), Some(4_096));
        assert_eq!(output(None, "openai/gpt-5"), Some(16_384));
        assert_eq!(output(None, "acme/unknown"), Some(4_096));
    }

    #[test]
    fn it_costs_at_most_the_fresh_price_of_all() {
        let most = Usage {
            prompt_tokens: 1_000,
            completion_tokens: 10,
            ..Usage::default()
        };
        let most_cost = |model| Prices::default().most_cost(model, &most);
        assert_eq!(most_cost("openai/gpt-4o-mini"), Some(156_000_000));
        assert_eq!(most_cost("acme/unknown"), None);
    }
}
