//! What a model was given, and which chunks are in it.

use crate::json::{member, whole};
use crate::query::{Candidate, Prompt, PromptChunk, PromptHow};
use crate::span::Span;
use crate::words::one_blank;
use nodeai_otel::content_of;
use serde_json::{Value, json};

/// Characters of a chunk that are enough to know it by: prompts cut what is long.
const ENOUGH: usize = 200;
/// Shortest id that is looked for in a prompt; a shorter one stands there by chance.
const SHORTEST_ID: usize = 3;

/// The prompt of a call; its chunks are added by [`chunks`].
pub fn prompt(span: &Span) -> Prompt {
    let content = content_of(&span.attributes);
    let input = content.input.as_ref().map(whole);
    let incomplete = input.as_ref().is_some_and(|(_, cut)| *cut);
    let messages = match (content.input_messages.is_empty(), input) {
        (false, _) => content.input_messages,
        (true, Some((input, _))) => messages_in(input),
        (true, None) => Vec::new(),
    };
    let system = span.attributes.get("gen_ai.system_instructions");
    let system = system.map(|value| json!({"role": "system", "parts": whole(value).0}));
    Prompt {
        span_id: span.base.span_id.clone(),
        model: span.base.model.clone(),
        messages: system.into_iter().chain(messages).collect(),
        tokens: span.base.prompt_tokens,
        chunks: Vec::new(),
        incomplete,
    }
}

fn messages_in(input: Value) -> Vec<Value> {
    let system = member(&input, &["system"]).and_then(Value::as_str);
    let system = system.map(|text| json!({"role": "system", "content": text}));
    let listed = member(&input, &["messages"]).and_then(Value::as_array);
    let rest = match (listed, &input) {
        (Some(list), _) => list.clone(),
        (None, Value::Array(list)) => list.clone(),
        (None, Value::String(text)) => vec![json!({"role": "user", "content": text})],
        (None, other) => {
            let text = member(other, &["prompt", "input", "question", "text"]);
            let text = text.and_then(Value::as_str);
            text.map(|text| json!({"role": "user", "content": text}))
                .into_iter()
                .collect()
        }
    };
    system.into_iter().chain(rest).collect()
}

/// The words of messages, whichever way they are wrapped.
pub fn text_of(value: &Value) -> String {
    let mut texts = Vec::new();
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(items) => stack.extend(items.iter().rev()),
            Value::Object(_) => {
                let inner = ["message_content", "parts", "contents", "text", "content"];
                stack.extend(inner.iter().filter_map(|name| value.get(*name)));
            }
            _ => {}
        }
    }
    texts.join("\n")
}

/// What a call has answered, and whether that is only the beginning.
pub fn said(span: &Span) -> Option<(String, bool)> {
    let content = content_of(&span.attributes);
    if !content.output_messages.is_empty() {
        let text = text_of(&Value::Array(content.output_messages));
        return some(text).map(|text| (text, false));
    }
    let (output, cut) = whole(content.output.as_ref()?);
    let names = ["text", "answer", "content", "output", "response", "result"];
    let text = match (&output, member(&output, &names)) {
        (Value::String(text), _) | (_, Some(Value::String(text))) => text.clone(),
        (_, Some(inner)) => text_of(inner),
        _ => output
            .pointer("/choices/0/message/content")
            .map(text_of)
            .unwrap_or_default(),
    };
    some(text).map(|text| (text, cut))
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.trim().is_empty())
}

/// Finds the candidates whose text or id stands in the prompt, in the order in which they do.
pub fn chunks(prompt: &Prompt, known: &[&Candidate]) -> Vec<PromptChunk> {
    let text = one_blank(&text_of(&Value::Array(prompt.messages.clone())));
    let mut found: Vec<(usize, PromptChunk)> = Vec::new();
    for candidate in known {
        let of_text = candidate.content.as_deref().and_then(|content| {
            let content = one_blank(content);
            let enough: String = content.chars().take(ENOUGH).collect();
            let at = (!enough.is_empty()).then(|| text.find(&enough)).flatten()?;
            Some((at, PromptHow::Text))
        });
        let of_id = || place_of_id(&text, &candidate.chunk_id).map(|at| (at, PromptHow::Id));
        let Some((at, how)) = of_text.or_else(of_id) else {
            continue;
        };
        let chunk_id = candidate.chunk_id.clone();
        match found.iter_mut().find(|(_, c)| c.chunk_id == chunk_id) {
            Some(same) if same.0 <= at => {}
            Some(same) => *same = (at, PromptChunk { chunk_id, how }),
            None => found.push((at, PromptChunk { chunk_id, how })),
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, chunk)| chunk).collect()
}

/// Where an id stands as a word of its own.
fn place_of_id(text: &str, id: &str) -> Option<usize> {
    if id.chars().count() < SHORTEST_ID || id.starts_with("sha256:") {
        return None;
    }
    let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '-' && c != '_');
    let mut places = text.match_indices(id);
    let whole = places.find(|(at, _)| {
        ends(text[..*at].chars().next_back()) && ends(text[at + id.len()..].chars().next())
    });
    whole.map(|(at, _)| at)
}
