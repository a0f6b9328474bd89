//! OpenAI's chat completions (<https://platform.openai.com/docs/api-reference/chat>), which
//! most other providers and local servers copy.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::endpoint::{Endpoint, post};
use crate::stream::Step;
use crate::{
    ChatRequest, ChatResponse, Delta, Error, FinishReason, Message, ResponseFormat, Role, Tier,
    ToolCall, Usage,
};

pub(crate) fn request(
    at: &Endpoint,
    chat: &ChatRequest,
    key: Option<&str>,
    stream: bool,
) -> http::Result<http::Request<Bytes>> {
    let url = format!("{}/chat/completions", at.base_url);
    let bearer = key.map(|key| format!("Bearer {key}"));
    post(
        url,
        &[("authorization", bearer.as_deref())],
        &body(at, chat, stream),
    )
}

fn body(at: &Endpoint, chat: &ChatRequest, stream: bool) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), at.model.clone().into());
    let system = chat
        .system
        .as_deref()
        .map(|text| json!({"role": "system", "content": text}));
    let messages = chat.messages.iter().map(message);
    body.insert(
        "messages".into(),
        system.into_iter().chain(messages).collect(),
    );
    let mut set = |name: &str, value: Option<Value>| {
        value.map(|value| body.insert(name.to_owned(), value));
    };
    // OpenAI's reasoning models refuse `max_tokens`; servers that copy it know only that.
    let limit = if at.name == "openai" {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    set(limit, chat.max_tokens.map(Value::from));
    set("temperature", chat.temperature.map(Value::from));
    set("top_p", chat.top_p.map(Value::from));
    set("seed", chat.seed.map(Value::from));
    set("stop", (!chat.stop.is_empty()).then(|| json!(chat.stop)));
    set("tools", (!chat.tools.is_empty()).then(|| tools(chat)));
    set(
        "response_format",
        chat.response_format.as_ref().and_then(response_format),
    );
    set("stream", stream.then_some(Value::Bool(true)));
    set(
        "stream_options",
        stream.then(|| json!({"include_usage": true})),
    );
    Value::Object(body)
}

fn message(message: &Message) -> Value {
    let mut out = Map::new();
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    out.insert("role".into(), role.into());
    out.insert("content".into(), content(message));
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            json!({
                "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })
        });
        out.insert("tool_calls".into(), calls.collect());
    }
    if let Some(id) = &message.tool_call_id {
        out.insert("tool_call_id".into(), id.clone().into());
    }
    Value::Object(out)
}

/// A text, or parts where there are pictures.
fn content(message: &Message) -> Value {
    if message.images.is_empty() {
        return message.content.clone().into();
    }
    let text = json!({"type": "text", "text": message.content});
    let images = message.images.iter().map(|image| {
        let mut shown = json!({"url": image.url});
        if let Some(detail) = &image.detail {
            shown["detail"] = detail.clone().into();
        }
        json!({"type": "image_url", "image_url": shown})
    });
    std::iter::once(text).chain(images).collect()
}

fn tools(chat: &ChatRequest) -> Value {
    chat.tools
        .iter()
        .map(|tool| json!({"type": "function", "function": tool}))
        .collect()
}

fn response_format(format: &ResponseFormat) -> Option<Value> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(json!({"type": "json_object"})),
        ResponseFormat::JsonSchema { schema } => Some(json!({
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema},
        })),
    }
}

pub(crate) fn parse(json: &Value) -> Result<ChatResponse, Error> {
    let choice = json.pointer("/choices/0");
    let choice = choice.ok_or_else(|| Error::malformed("the provider's answer has no choices"))?;
    let message = choice.get("message").filter(|message| message.is_object());
    let message =
        message.ok_or_else(|| Error::malformed("the provider's answer has no message"))?;
    let calls = message.get("tool_calls").and_then(Value::as_array);
    let calls = calls.into_iter().flatten().map(|call| ToolCall {
        id: text_at(call, "/id"),
        name: text_at(call, "/function/name"),
        arguments: text_at(call, "/function/arguments"),
    });
    Ok(ChatResponse {
        text: text_at(message, "/content"),
        tool_calls: calls.collect(),
        finish_reason: finish_reason(&text_at(choice, "/finish_reason")),
        model: text_at(json, "/model"),
        id: json.get("id").and_then(Value::as_str).map(str::to_owned),
        usage: usage_of(json),
    })
}

pub(crate) fn read_event(json: &Value) -> Result<Step, Error> {
    let mut deltas = Vec::new();
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    if json.pointer("/choices/0/delta/role").is_some() {
        deltas.push(Delta::Start {
            id: text("id"),
            model: text("model"),
        });
    }
    if let Some(choice) = json.pointer("/choices/0") {
        read_choice(choice, &mut deltas);
    }
    deltas.extend(usage_of(json).map(Delta::Usage));
    Ok(Step::Deltas(deltas))
}

fn read_choice(choice: &Value, deltas: &mut Vec<Delta>) {
    let text = text_at(choice, "/delta/content");
    if !text.is_empty() {
        deltas.push(Delta::Text(text));
    }
    let calls = choice
        .pointer("/delta/tool_calls")
        .and_then(Value::as_array);
    for (position, call) in calls.into_iter().flatten().enumerate() {
        let part = |pointer: &str| Some(text_at(call, pointer)).filter(|text| !text.is_empty());
        let index = call.get("index").and_then(Value::as_u64);
        deltas.push(Delta::ToolCall {
            index: index.map_or(position, |index| {
                usize::try_from(index).unwrap_or(usize::MAX)
            }),
            id: part("/id"),
            name: part("/function/name"),
            arguments: text_at(call, "/function/arguments"),
        });
    }
    let reason = choice.get("finish_reason").and_then(Value::as_str);
    deltas.extend(reason.map(|reason| Delta::Finish(finish_reason(reason))));
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

/// The usage of an answer or an event. DeepSeek says `prompt_cache_hit_tokens`; xAI alone counts reasoning apart from
/// `completion_tokens`, which `total_tokens` gives away.
fn usage_of(answer: &Value) -> Option<Usage> {
    let json = answer.get("usage")?;
    let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_i64);
    let count = |pointer: &str| number(pointer).unwrap_or(0);
    let prompt_tokens = number("/prompt_tokens")?;
    let reasoning_tokens = count("/completion_tokens_details/reasoning_tokens");
    let mut completion_tokens = count("/completion_tokens");
    let apart = prompt_tokens + completion_tokens + reasoning_tokens;
    if reasoning_tokens > 0 && number("/total_tokens") == Some(apart) {
        completion_tokens += reasoning_tokens;
    }
    let cached = number("/prompt_tokens_details/cached_tokens");
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        cached_tokens: cached.unwrap_or_else(|| count("/prompt_cache_hit_tokens")),
        cache_write_tokens: count("/prompt_tokens_details/cache_write_tokens"),
        audio_input_tokens: count("/prompt_tokens_details/audio_tokens"),
        image_input_tokens: count("/prompt_tokens_details/image_tokens"),
        reasoning_tokens,
        audio_output_tokens: count("/completion_tokens_details/audio_tokens"),
        tier: Tier::read(&text_at(answer, "/service_tier")),
        ..Usage::default()
    })
}

pub(crate) fn text_at(json: &Value, pointer: &str) -> String {
    json.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
