//! Gemini: generateContent (<https://ai.google.dev/api/generate-content>).

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Shared;
use crate::plan::{Plan, content_text};

pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/v1beta/models/{call}", post(generate))
}

fn error(status: u16) -> Value {
    let name = match status {
        429 => "RESOURCE_EXHAUSTED",
        400 => "INVALID_ARGUMENT",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": format!("scripted failure {status}"), "status": name}})
}

fn refuse(status: StatusCode) -> Response {
    (status, Json(error(status.as_u16()))).into_response()
}

async fn generate(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    Json(body): Json<Value>,
) -> Result<Response, Response> {
    let (model, verb) = call
        .split_once(':')
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND))?;
    let turns = body["contents"]
        .as_array()
        .filter(|turns| !turns.is_empty());
    let turns = turns.ok_or_else(|| refuse(StatusCode::BAD_REQUEST))?;
    let prompt: Vec<String> = turns
        .iter()
        .map(|turn| content_text(&turn["parts"]))
        .collect();
    let plan = Plan::draw(&shared, model, &prompt, error).await?;
    let id = shared.id("resp");
    match verb {
        "generateContent" => Ok(plan.whole(&answer(
            &plan,
            model,
            &id,
            parts(&plan, &plan.text),
            Some("STOP"),
        ))),
        "streamGenerateContent" => {
            let mut pieces = plan.pieces();
            let last = pieces.pop().unwrap_or_default();
            let early = pieces
                .iter()
                .map(|piece| answer(&plan, model, &id, json!([{"text": piece}]), None).to_string());
            let end = answer(&plan, model, &id, parts(&plan, &last), Some("STOP")).to_string();
            Ok(plan.stream(
                early
                    .chain(std::iter::once(end))
                    .map(|data| ("", data))
                    .collect(),
            ))
        }
        _ => Err(refuse(StatusCode::NOT_FOUND)),
    }
}

fn parts(plan: &Plan, text: &str) -> Value {
    match &plan.tool_call {
        Some((name, arguments)) => json!([{"functionCall": {"name": name, "args": arguments}}]),
        None => json!([{"text": text}]),
    }
}

fn answer(plan: &Plan, model: &str, id: &str, parts: Value, reason: Option<&str>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if let Some(reason) = reason {
        candidate["finishReason"] = reason.into();
    }
    let (prompt, completion) = (plan.prompt_tokens, plan.completion_tokens());
    json!({
        "candidates": [candidate], "modelVersion": model, "responseId": id,
        "usageMetadata": {
            "promptTokenCount": prompt, "candidatesTokenCount": completion,
            "totalTokenCount": prompt + completion,
        },
    })
}
