//! Google's Gemini (<https://ai.google.dev/api/generate-content>).

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::endpoint::{Endpoint, post};
use crate::openai::text_at;
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
    let call = if stream {
        "streamGenerateContent?alt=sse"
    } else {
        "generateContent"
    };
    let url = format!("{}/models/{}:{call}", at.base_url, at.model);
    post(url, &[("x-goog-api-key", key)], &body(chat))
}

fn body(chat: &ChatRequest) -> Value {
    let mut body = Map::new();
    body.insert(
        "contents".into(),
        chat.turns().map(|turn| content(turn, chat)).collect(),
    );
    if let Some(text) = chat.instructions() {
        body.insert(
            "systemInstruction".into(),
            json!({"parts": [{"text": text}]}),
        );
    }
    if !chat.tools.is_empty() {
        body.insert(
            "tools".into(),
            json!([{"functionDeclarations": chat.tools}]),
        );
    }
    let config = generation_config(chat);
    if !config.is_empty() {
        body.insert("generationConfig".into(), Value::Object(config));
    }
    Value::Object(body)
}

fn generation_config(chat: &ChatRequest) -> Map<String, Value> {
    let mut config = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        value.map(|value| config.insert(name.to_owned(), value));
    };
    set("temperature", chat.temperature.map(Value::from));
    set("topP", chat.top_p.map(Value::from));
    set("maxOutputTokens", chat.max_tokens.map(Value::from));
    set("seed", chat.seed.map(Value::from));
    set(
        "stopSequences",
        (!chat.stop.is_empty()).then(|| json!(chat.stop)),
    );
    let wants_json = !matches!(chat.response_format, None | Some(ResponseFormat::Text));
    set(
        "responseMimeType",
        wants_json.then(|| "application/json".into()),
    );
    if let Some(ResponseFormat::JsonSchema { schema }) = &chat.response_format {
        set("responseJsonSchema", Some(schema.clone()));
    }
    config
}

fn content(message: &Message, chat: &ChatRequest) -> Value {
    let arguments = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!({}));
    match message.role {
        Role::Tool => {
            // Gemini matches results to calls by name, ours carry the call's id.
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            let calls = chat.messages.iter().flat_map(|message| &message.tool_calls);
            let name = calls
                .into_iter()
                .find(|call| call.id == id)
                .map_or(id, |call| &call.name);
            let response = json!({"name": name, "response": {"result": message.content}});
            json!({"role": "user", "parts": [{"functionResponse": response}]})
        }
        Role::Assistant => {
            let said = (!message.content.is_empty()).then(|| json!({"text": message.content}));
            let calls = message.tool_calls.iter().map(|call| {
                json!({"functionCall": {"name": call.name, "args": arguments(&call.arguments)}})
            });
            json!({"role": "model", "parts": said.into_iter().chain(calls).collect::<Vec<_>>()})
        }
        Role::User | Role::System => {
            let images = message.images.iter().map(|image| match image.inline() {
                Some((kind, data)) => json!({"inlineData": {"mimeType": kind, "data": data}}),
                None => json!({"fileData": {"fileUri": image.url}}),
            });
            let text = std::iter::once(json!({"text": message.content}));
            json!({"role": "user", "parts": text.chain(images).collect::<Vec<_>>()})
        }
    }
}

pub(crate) fn parse(json: &Value) -> Result<ChatResponse, Error> {
    if let Some(reason) = json
        .pointer("/promptFeedback/blockReason")
        .and_then(Value::as_str)
    {
        return Err(Error::invalid(format!(
            "the provider blocked the prompt: {reason}"
        )));
    }
    let candidate = json.pointer("/candidates/0");
    let candidate =
        candidate.ok_or_else(|| Error::malformed("the provider's answer has no candidates"))?;
    let tool_calls: Vec<ToolCall> = calls(candidate).collect();
    let reason = finish_reason(&text_at(candidate, "/finishReason"), !tool_calls.is_empty());
    Ok(ChatResponse {
        text: text_of(candidate),
        tool_calls,
        finish_reason: reason,
        model: text_at(json, "/modelVersion"),
        id: json
            .get("responseId")
            .and_then(Value::as_str)
            .map(str::to_owned),
        usage: json.get("usageMetadata").map(usage),
    })
}

pub(crate) fn read_event(json: &Value, calls_so_far: usize) -> Result<Step, Error> {
    if let Some(reason) = json
        .pointer("/promptFeedback/blockReason")
        .and_then(Value::as_str)
    {
        return Err(Error::invalid(format!(
            "the provider blocked the prompt: {reason}"
        )));
    }
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut deltas = vec![Delta::Start {
        id: text("responseId"),
        model: text("modelVersion"),
    }];
    if let Some(candidate) = json.pointer("/candidates/0") {
        let said = text_of(candidate);
        if !said.is_empty() {
            deltas.push(Delta::Text(said));
        }
        let mut asked = calls_so_far;
        for call in calls(candidate) {
            deltas.push(Delta::ToolCall {
                index: asked,
                id: Some(call.id),
                name: Some(call.name),
                arguments: call.arguments,
            });
            asked += 1;
        }
        let reason = candidate.get("finishReason").and_then(Value::as_str);
        deltas.extend(reason.map(|reason| Delta::Finish(finish_reason(reason, asked > 0))));
    }
    deltas.extend(
        json.get("usageMetadata")
            .map(|json| Delta::Usage(usage(json))),
    );
    Ok(Step::Deltas(deltas))
}

/// The text parts, without the model's thoughts.
fn text_of(candidate: &Value) -> String {
    let parts = candidate
        .pointer("/content/parts")
        .and_then(Value::as_array);
    let spoken = |part: &&Value| part.get("thought").and_then(Value::as_bool) != Some(true);
    parts
        .into_iter()
        .flatten()
        .filter(spoken)
        .map(|part| text_at(part, "/text"))
        .collect()
}

fn calls(candidate: &Value) -> impl Iterator<Item = ToolCall> {
    let parts = candidate
        .pointer("/content/parts")
        .and_then(Value::as_array);
    let calls = parts
        .into_iter()
        .flatten()
        .filter_map(|part| part.get("functionCall"));
    calls.map(|call| ToolCall {
        id: text_at(call, "/id"),
        name: text_at(call, "/name"),
        arguments: call
            .get("args")
            .map_or_else(|| "{}".to_owned(), Value::to_string),
    })
}

/// Gemini says STOP also when it asks for tools.
fn finish_reason(name: &str, asks_for_tools: bool) -> FinishReason {
    match name {
        "STOP" if asks_for_tools => FinishReason::ToolCalls,
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => {
            FinishReason::ContentFilter
        }
        _ => FinishReason::Other,
    }
}

/// Thoughts are billed as output, and what tools put into the prompt as input.
fn usage(json: &Value) -> Usage {
    let number = |name: &str| json.get(name).and_then(Value::as_i64).unwrap_or(0);
    let of_kind = |list: &str, kind: &str| {
        let all = json
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let fitting = all.filter(|part| text_at(part, "/modality") == kind);
        let counts = fitting.filter_map(|part| part.get("tokenCount").and_then(Value::as_i64));
        counts.sum::<i64>()
    };
    let thoughts = number("thoughtsTokenCount");
    // Cached sound is billed as cached.
    let fresh = |kind: &str| {
        (of_kind("promptTokensDetails", kind) - of_kind("cacheTokensDetails", kind)).max(0)
    };
    let tier = text_at(json, "/serviceTier").to_ascii_lowercase();
    Usage {
        prompt_tokens: number("promptTokenCount") + number("toolUsePromptTokenCount"),
        completion_tokens: number("candidatesTokenCount") + thoughts,
        cached_tokens: number("cachedContentTokenCount"),
        audio_input_tokens: fresh("AUDIO"),
        image_input_tokens: fresh("IMAGE"),
        reasoning_tokens: thoughts,
        audio_output_tokens: of_kind("candidatesTokensDetails", "AUDIO"),
        tier: Tier::read(&tier),
        ..Usage::default()
    }
}
