//! Anthropic: messages (<https://docs.anthropic.com/en/api/messages>).

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Shared;
use crate::plan::{Plan, content_text};

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/v1/messages", post(messages))
}

fn error(status: u16) -> Value {
    let kind = match status {
        429 => "rate_limit_error",
        401 => "authentication_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": format!("scripted failure {status}")}})
}

fn refuse(message: &str) -> Response {
    let body =
        json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

async fn messages(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Response> {
    if !headers.contains_key("anthropic-version") {
        return Err(refuse("anthropic-version: header is required"));
    }
    if !body["max_tokens"].is_u64() {
        return Err(refuse("max_tokens: Field required"));
    }
    let model = body["model"]
        .as_str()
        .ok_or_else(|| refuse("model: Field required"))?;
    let turns = body["messages"]
        .as_array()
        .filter(|turns| !turns.is_empty());
    let turns = turns.ok_or_else(|| refuse("messages: at least one message is required"))?;
    let system = content_text(&body["system"]);
    let said = turns.iter().map(|turn| content_text(&turn["content"]));
    let prompt: Vec<String> = std::iter::once(system).chain(said).collect();
    let plan = Plan::draw(&shared, model, &prompt, error).await?;
    let id = shared.id("msg");
    if body["stream"] == true {
        return Ok(plan.stream(events(&plan, &id, model)));
    }
    let content = match &plan.tool_call {
        Some((name, input)) => json!([tool_use(&id, name, input)]),
        None => json!([{"type": "text", "text": plan.text}]),
    };
    Ok(plan.whole(&json!({
        "id": id, "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason(&plan), "stop_sequence": null,
        "usage": {"input_tokens": plan.prompt_tokens, "output_tokens": plan.completion_tokens()},
    })))
}

fn tool_use(id: &str, name: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": input})
}

fn stop_reason(plan: &Plan) -> &'static str {
    if plan.tool_call.is_some() {
        "tool_use"
    } else {
        "end_turn"
    }
}

fn events(plan: &Plan, id: &str, model: &str) -> Vec<(&'static str, String)> {
    let mut events = Vec::new();
    let mut push = |name: &'static str, mut data: Value| {
        data["type"] = name.into();
        events.push((name, data.to_string()));
    };
    push(
        "message_start",
        json!({"message": {
            "id": id, "type": "message", "role": "assistant", "model": model, "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": plan.prompt_tokens, "output_tokens": 1},
        }}),
    );
    match &plan.tool_call {
        Some((name, input)) => {
            push(
                "content_block_start",
                json!({"index": 0, "content_block": tool_use(id, name, &json!({}))}),
            );
            let part = json!({"type": "input_json_delta", "partial_json": input.to_string()});
            push("content_block_delta", json!({"index": 0, "delta": part}));
        }
        None => {
            push(
                "content_block_start",
                json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
            );
            push("ping", json!({}));
            for piece in plan.pieces() {
                let part = json!({"type": "text_delta", "text": piece});
                push("content_block_delta", json!({"index": 0, "delta": part}));
            }
        }
    }
    push("content_block_stop", json!({"index": 0}));
    push(
        "message_delta",
        json!({
            "delta": {"stop_reason": stop_reason(plan), "stop_sequence": null},
            "usage": {"output_tokens": plan.completion_tokens()},
        }),
    );
    push("message_stop", json!({}));
    events
}
