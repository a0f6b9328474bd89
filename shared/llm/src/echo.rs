//! `builtin/echo`: a test model. It repeats the last user message, so that a first run
//! needs no account and tests have a predictable answer. It is no language model.

use serde_json::json;

use crate::{ChatRequest, ChatResponse, FinishReason, ResponseFormat, Role, Usage};

/// The answer: `echo: <last user message>`, or `{"echo": "<last user message>"}` when JSON is
/// asked for. Tokens are words between white space; `max_tokens` cuts the words.
pub fn answer(chat: &ChatRequest) -> ChatResponse {
    let last = chat
        .messages
        .iter()
        .rev()
        .find(|message| message.role == Role::User);
    let said = last.map_or("", |message| message.content.as_str());
    let wants_json = !matches!(chat.response_format, None | Some(ResponseFormat::Text));
    let whole = if wants_json {
        json!({"echo": said}).to_string()
    } else {
        format!("echo: {said}")
    };
    let limit = chat.max_tokens.map_or(usize::MAX, |most| most as usize);
    let cut = cut_words(&whole, limit);
    let finish_reason = if cut.len() < whole.len() {
        FinishReason::Length
    } else {
        FinishReason::Stop
    };
    ChatResponse {
        text: cut.to_owned(),
        tool_calls: Vec::new(),
        finish_reason,
        model: "builtin/echo".to_owned(),
        id: None,
        usage: Some(Usage {
            prompt_tokens: prompt_tokens(chat),
            completion_tokens: count(cut),
            ..Usage::default()
        }),
    }
}

/// Cuts a text into the pieces in which it is streamed: each word with the space before it.
pub fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut in_word) = (0, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && in_word {
            pieces.push(&text[start..at]);
            start = at;
        }
        in_word = !c.is_whitespace();
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

fn cut_words(text: &str, limit: usize) -> &str {
    let kept: usize = pieces(text).into_iter().take(limit).map(str::len).sum();
    &text[..kept]
}

fn prompt_tokens(chat: &ChatRequest) -> i64 {
    let messages = chat.messages.iter().map(|message| message.content.as_str());
    chat.system
        .as_deref()
        .into_iter()
        .chain(messages)
        .map(count)
        .sum()
}

fn count(text: &str) -> i64 {
    text.split_whitespace().count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn asked(text: &str) -> ChatRequest {
        ChatRequest {
            messages: vec![Message::new(Role::User, text)],
            ..Default::default()
        }
    }

    #[test]
    fn repeats_the_last_user_message() {
        let answer = answer(&asked("hello big world"));
        assert_eq!(answer.text, "echo: hello big world");
        let usage = answer.usage.expect("counted");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (3, 4));
    }

    #[test]
    fn pieces_join_to_the_whole() {
        for text in ["echo: a  b\n c ", "", " x", "é ü"] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(pieces("a b c").len(), 3);
    }

    #[test]
    fn stops_at_the_token_limit() {
        let answer = answer(&ChatRequest {
            max_tokens: Some(2),
            ..asked("a b c")
        });
        assert_eq!(
            (answer.text.as_str(), answer.finish_reason),
            ("echo: a", FinishReason::Length)
        );
    }
}
