//! OpenAI: chat completions, embeddings, models
//! (<https://platform.openai.com/docs/api-reference>).

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Shared;
use crate::plan::{Plan, bad_request, content_text};

const CREATED: u64 = 1_700_000_000;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/rerank", post(rerank))
        .route("/v1/models", get(models))
}

fn error(status: u16) -> Value {
    let (kind, code) = match status {
        429 => ("requests", "rate_limit_exceeded"),
        401 => ("invalid_request_error", "invalid_api_key"),
        400..=499 => ("invalid_request_error", "invalid_value"),
        _ => ("server_error", "server_error"),
    };
    json!({"error": {"message": format!("scripted failure {status}"), "type": kind, "param": null, "code": code}})
}

async fn chat(State(shared): State<Shared>, Json(body): Json<Value>) -> Result<Response, Response> {
    let model = body["model"]
        .as_str()
        .ok_or_else(|| bad_request("you must provide a model parameter"))?;
    let messages = body["messages"]
        .as_array()
        .filter(|messages| !messages.is_empty());
    let messages =
        messages.ok_or_else(|| bad_request("'messages' must be a list that is not empty"))?;
    let prompt: Vec<String> = messages
        .iter()
        .map(|message| content_text(&message["content"]))
        .collect();
    let mut plan = Plan::draw(&shared, model, &prompt, error).await?;
    if let Some(answer) = crate::judge::answer(&body) {
        plan.text = answer;
    }
    let id = shared.id("chatcmpl");
    if body["stream"] == true {
        let with_usage = body["stream_options"]["include_usage"] == true;
        return Ok(plan.stream(chunks(&plan, &id, model, with_usage)));
    }
    let mut message = json!({"role": "assistant", "content": plan.text, "refusal": null});
    if let Some((name, arguments)) = &plan.tool_call {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([tool_call(&id, name, &arguments.to_string())]);
    }
    Ok(plan.whole(&json!({
        "id": id, "object": "chat.completion", "created": CREATED, "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(&plan)}],
        "usage": usage(&plan),
    })))
}

fn chunks(plan: &Plan, id: &str, model: &str, with_usage: bool) -> Vec<(&'static str, String)> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": id, "object": "chat.completion.chunk", "created": CREATED, "model": model, "choices": choices,
        });
        if with_usage {
            chunk["usage"] = usage;
        }
        ("", chunk.to_string())
    };
    let delta = |delta: Value, reason: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]),
            Value::Null,
        )
    };
    let mut events = vec![delta(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    events.extend(
        plan.pieces()
            .into_iter()
            .map(|piece| delta(json!({"content": piece}), Value::Null)),
    );
    if let Some((name, arguments)) = &plan.tool_call {
        let arguments = arguments.to_string();
        let (first, rest) = arguments.split_at(arguments.len() / 2);
        let mut call = tool_call(id, name, first);
        call["index"] = 0.into();
        events.push(delta(json!({"tool_calls": [call]}), Value::Null));
        let rest = json!({"index": 0, "function": {"arguments": rest}});
        events.push(delta(json!({"tool_calls": [rest]}), Value::Null));
    }
    events.push(delta(json!({}), finish_reason(plan).into()));
    if with_usage {
        events.push(chunk(json!([]), usage(plan)));
    }
    events.push(("", "[DONE]".to_owned()));
    events
}

fn tool_call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": format!("call_{id}"), "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn finish_reason(plan: &Plan) -> &'static str {
    if plan.tool_call.is_some() {
        "tool_calls"
    } else {
        "stop"
    }
}

fn usage(plan: &Plan) -> Value {
    let (prompt, completion) = (plan.prompt_tokens, plan.completion_tokens());
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
    })
}

/// Embeds by hashing words into 64 dimensions: texts with common words are near each other.
async fn embeddings(
    State(shared): State<Shared>,
    Json(body): Json<Value>,
) -> Result<Response, Response> {
    let model = body["model"]
        .as_str()
        .ok_or_else(|| bad_request("you must provide a model parameter"))?;
    let texts: Vec<String> = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => return Err(bad_request("'input' must be a string or a list of strings")),
    };
    let plan = Plan::draw(&shared, model, &texts, error).await?;
    let size = body["dimensions"]
        .as_u64()
        .map_or(64, |size| size.clamp(1, 4_096) as usize);
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": embed(text, size)}))
        .collect();
    let tokens = plan.prompt_tokens;
    Ok(plan.whole(&json!({
        "object": "list", "data": data, "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })))
}

/// Jina's form of reranking (<https://jina.ai/reranker/>), which OpenAI has no form of; by common words.
async fn rerank(
    State(shared): State<Shared>,
    Json(body): Json<Value>,
) -> Result<Response, Response> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let model = text(&body["model"]).ok_or_else(|| bad_request("model is required"))?;
    let query = text(&body["query"]).ok_or_else(|| bad_request("query is required"))?;
    let documents = body["documents"].as_array();
    let documents = documents.ok_or_else(|| bad_request("documents is required"))?;
    let documents: Vec<String> = documents.iter().filter_map(text).collect();
    let read = [std::slice::from_ref(&query), &documents].concat();
    let plan = Plan::draw(&shared, &model, &read, error).await?;
    let asked = embed(&query, 64);
    let score = |document: &String| -> f64 {
        let pairs = embed(document, 64).into_iter().zip(&asked);
        pairs.map(|(a, b)| a * b).sum()
    };
    let mut results: Vec<(usize, f64)> = documents.iter().map(score).enumerate().collect();
    results.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = body["top_n"]
        .as_u64()
        .map_or(usize::MAX, |top| top as usize);
    let results = results.iter().take(top);
    let results = results.map(|(at, score)| json!({"index": at, "relevance_score": score}));
    Ok(plan.whole(&json!({
        "model": model, "results": results.collect::<Vec<_>>(),
        "usage": {"total_tokens": plan.prompt_tokens},
    })))
}

fn embed(text: &str, size: usize) -> Vec<f64> {
    let mut vector = vec![0.0_f64; size];
    for word in text
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        // FNV-1a.
        let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        vector[(hash % size as u64) as usize] += 1.0;
    }
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    vector.iter().map(|x| x / length).collect()
}

async fn models() -> Json<Value> {
    let model =
        |id: &str| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "stand-in"});
    Json(json!({"object": "list", "data": [model("stand-in"), model("text-embedding-stand-in")]}))
}
