//! Anthropic's messages (<https://docs.anthropic.com/en/api/messages>).

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::endpoint::{Endpoint, post};
use crate::openai::text_at;
use crate::stream::Step;
use crate::{
    ChatRequest, ChatResponse, Delta, Error, FinishReason, Message, ResponseFormat, Role, Tier,
    ToolCall, Usage,
};

/// The API demands a limit; this one is used when the request has none.
const DEFAULT_MAX_TOKENS: u32 = 4_096;
pub(crate) const VERSION: &str = "2023-06-01";

pub(crate) fn request(
    at: &Endpoint,
    chat: &ChatRequest,
    key: Option<&str>,
    stream: bool,
) -> http::Result<http::Request<Bytes>> {
    let headers = [("x-api-key", key), ("anthropic-version", Some(VERSION))];
    post(
        format!("{}/messages", at.base_url),
        &headers,
        &body(at, chat, stream),
    )
}

fn body(at: &Endpoint, chat: &ChatRequest, stream: bool) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), at.model.clone().into());
    body.insert(
        "max_tokens".into(),
        chat.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS).into(),
    );
    body.insert("messages".into(), chat.turns().map(message).collect());
    let mut set = |name: &str, value: Option<Value>| {
        value.map(|value| body.insert(name.to_owned(), value));
    };
    set("system", instructions(chat).map(Value::from));
    set("temperature", chat.temperature.map(Value::from));
    set("top_p", chat.top_p.map(Value::from));
    set(
        "stop_sequences",
        (!chat.stop.is_empty()).then(|| json!(chat.stop)),
    );
    set("tools", (!chat.tools.is_empty()).then(|| tools(chat)));
    set("stream", stream.then_some(Value::Bool(true)));
    Value::Object(body)
}

/// The API has no JSON mode, so the wish goes into the instructions.
fn instructions(chat: &ChatRequest) -> Option<String> {
    let wish = match &chat.response_format {
        None | Some(ResponseFormat::Text) => None,
        Some(ResponseFormat::JsonObject) => {
            Some("Answer with one JSON object and nothing else.".into())
        }
        Some(ResponseFormat::JsonSchema { schema }) => Some(format!(
            "Answer with JSON and nothing else. It must be valid by this JSON Schema: {schema}"
        )),
    };
    let parts: Vec<String> = chat.instructions().into_iter().chain(wish).collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

fn message(message: &Message) -> Value {
    match message.role {
        Role::Tool => json!({"role": "user", "content": [{
            "type": "tool_result",
            "tool_use_id": message.tool_call_id,
            "content": message.content,
        }]}),
        Role::Assistant if !message.tool_calls.is_empty() => {
            let said = (!message.content.is_empty())
                .then(|| json!({"type": "text", "text": message.content}));
            let calls = message.tool_calls.iter().map(|call| {
                let input = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
            });
            json!({"role": "assistant", "content": said.into_iter().chain(calls).collect::<Vec<_>>()})
        }
        Role::Assistant => json!({"role": "assistant", "content": message.content}),
        Role::User | Role::System if !message.images.is_empty() => {
            let images = message.images.iter().map(|image| {
                let source = match image.inline() {
                    Some((kind, data)) => {
                        json!({"type": "base64", "media_type": kind, "data": data})
                    }
                    None => json!({"type": "url", "url": image.url}),
                };
                json!({"type": "image", "source": source})
            });
            let said = (!message.content.is_empty())
                .then(|| json!({"type": "text", "text": message.content}));
            json!({"role": "user", "content": images.chain(said).collect::<Vec<_>>()})
        }
        Role::User | Role::System => json!({"role": "user", "content": message.content}),
    }
}

fn tools(chat: &ChatRequest) -> Value {
    let tools = chat.tools.iter().map(|tool| {
        json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters})
    });
    tools.collect()
}

pub(crate) fn parse(json: &Value) -> Result<ChatResponse, Error> {
    let blocks = json.get("content").and_then(Value::as_array);
    let blocks = blocks.ok_or_else(|| Error::malformed("the provider's answer has no content"))?;
    let of_type = |kind: &'static str| {
        blocks
            .iter()
            .filter(move |block| text_at(block, "/type") == kind)
    };
    let calls = of_type("tool_use").map(|block| ToolCall {
        id: text_at(block, "/id"),
        name: text_at(block, "/name"),
        arguments: block
            .get("input")
            .map_or_else(|| "{}".to_owned(), Value::to_string),
    });
    Ok(ChatResponse {
        text: of_type("text")
            .map(|block| text_at(block, "/text"))
            .collect(),
        tool_calls: calls.collect(),
        finish_reason: finish_reason(&text_at(json, "/stop_reason")),
        model: text_at(json, "/model"),
        id: json.get("id").and_then(Value::as_str).map(str::to_owned),
        usage: json.get("usage").map(|usage| merge_usage(None, usage)),
    })
}

pub(crate) fn read_event(json: &Value, so_far: Option<Usage>) -> Result<Step, Error> {
    let index = json.get("index").and_then(Value::as_u64).unwrap_or(0);
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let deltas = match text_at(json, "/type").as_str() {
        "message_start" => {
            let text = |pointer| Some(text_at(json, pointer)).filter(|text| !text.is_empty());
            let start = Delta::Start {
                id: text("/message/id"),
                model: text("/message/model"),
            };
            let usage = json.pointer("/message/usage");
            let usage = usage.map(|usage| Delta::Usage(merge_usage(so_far, usage)));
            std::iter::once(start).chain(usage).collect()
        }
        "content_block_start" if text_at(json, "/content_block/type") == "tool_use" => {
            vec![Delta::ToolCall {
                index,
                id: Some(text_at(json, "/content_block/id")),
                name: Some(text_at(json, "/content_block/name")),
                arguments: String::new(),
            }]
        }
        "content_block_delta" => match text_at(json, "/delta/type").as_str() {
            "text_delta" => vec![Delta::Text(text_at(json, "/delta/text"))],
            "input_json_delta" => vec![Delta::ToolCall {
                index,
                id: None,
                name: None,
                arguments: text_at(json, "/delta/partial_json"),
            }],
            _ => Vec::new(),
        },
        "message_delta" => {
            let reason = Some(text_at(json, "/delta/stop_reason")).filter(|text| !text.is_empty());
            let reason = reason.map(|reason| Delta::Finish(finish_reason(&reason)));
            let usage = json
                .get("usage")
                .map(|usage| Delta::Usage(merge_usage(so_far, usage)));
            reason.into_iter().chain(usage).collect()
        }
        "message_stop" => return Ok(Step::End),
        _ => Vec::new(),
    };
    Ok(Step::Deltas(deltas))
}

/// Anthropic counts cached input apart from `input_tokens`, and a stream's last count
/// repeats only some of the fields.
fn merge_usage(so_far: Option<Usage>, json: &Value) -> Usage {
    let so_far = so_far.unwrap_or_default();
    let number = |name: &str| json.get(name).and_then(Value::as_i64);
    let cached = number("cache_read_input_tokens");
    let written = number("cache_creation_input_tokens");
    let for_an_hour = json.pointer("/cache_creation/ephemeral_1h_input_tokens");
    let for_an_hour = for_an_hour.and_then(Value::as_i64).unwrap_or(0);
    let prompt = number("input_tokens");
    let prompt = prompt.map(|fresh| fresh + cached.unwrap_or(0) + written.unwrap_or(0));
    let hour = written.map_or(so_far.cache_write_1h_tokens, |all| {
        for_an_hour.clamp(0, all.max(0))
    });
    let tier = ["/service_tier", "/speed"].map(|at| Tier::read(&text_at(json, at)));
    Usage {
        prompt_tokens: prompt.unwrap_or(0).max(so_far.prompt_tokens),
        completion_tokens: number("output_tokens").unwrap_or(so_far.completion_tokens),
        cached_tokens: cached.unwrap_or(so_far.cached_tokens),
        cache_write_tokens: written.map_or(so_far.cache_write_tokens, |all| all - hour),
        cache_write_1h_tokens: hour,
        reasoning_tokens: json
            .pointer("/output_tokens_details/thinking_tokens")
            .and_then(Value::as_i64)
            .unwrap_or(so_far.reasoning_tokens),
        // Priority tier is capacity bought beforehand: its tokens have no other price.
        tier: tier
            .into_iter()
            .flatten()
            .find(|tier| *tier != Tier::Priority)
            .or(so_far.tier),
        ..Usage::default()
    }
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}
