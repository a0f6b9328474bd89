//! What a request gets: from the script, else from the model's name, else the default answer.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Shared;

/// One queued behaviour. Fields left out mean the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// The text to answer.
    pub answer: Option<String>,
    /// A tool to ask for: `{"name", "arguments": {…}}`.
    pub tool_call: Option<Value>,
    /// Wait before the answer, in ms.
    pub latency_ms: u64,
    /// Answer with this failure status.
    pub status: Option<u16>,
    /// With `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Answer with text that is not JSON.
    pub malformed: bool,
    /// Drop the connection in the middle of the answer.
    pub drop_connection: bool,
}

impl Behaviour {
    /// Answers this text.
    pub fn answer(text: &str) -> Self {
        Self {
            answer: Some(text.to_owned()),
            ..Self::default()
        }
    }

    /// Fails with this status.
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    fn of_model(model: &str) -> Self {
        let says = |part: &str| model.contains(part);
        Self {
            status: if says("429") {
                Some(429)
            } else {
                says("500").then_some(500)
            },
            retry_after: says("429").then_some(1),
            malformed: says("malformed"),
            drop_connection: says("drop"),
            latency_ms: if says("slow") {
                5_000
            } else {
                latency_in(model)
            },
            ..Self::default()
        }
    }
}

/// The wait that a model's name asks for, ms: `latency-200`.
fn latency_in(model: &str) -> u64 {
    let after = model.split("latency-").nth(1).unwrap_or_default();
    let digits = after.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// An answer as planned, in no provider's shape yet.
pub(crate) struct Plan {
    pub(crate) text: String,
    /// Name and arguments.
    pub(crate) tool_call: Option<(String, Value)>,
    pub(crate) prompt_tokens: usize,
    pub(crate) malformed: bool,
    pub(crate) drop_connection: bool,
}

impl Plan {
    /// Draws up the plan for a request, or gives the failure to answer with. `error` makes a
    /// failure's body in the provider's shape.
    pub(crate) async fn draw(
        shared: &Shared,
        model: &str,
        prompt: &[String],
        error: fn(u16) -> Value,
    ) -> Result<Self, Response> {
        let queued = shared.lock().script.pop_front();
        let behaviour = queued.unwrap_or_else(|| Behaviour::of_model(model));
        if behaviour.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(behaviour.latency_ms)).await;
        }
        if let Some(status) = behaviour.status {
            return Err(failure(status, behaviour.retry_after, error(status)));
        }
        let last = prompt.last().map_or("", String::as_str);
        let tool_call = behaviour.tool_call.as_ref().map(|call| {
            let name = call["name"].as_str().unwrap_or("tool").to_owned();
            (name, call["arguments"].clone())
        });
        let default = if tool_call.is_some() {
            String::new()
        } else {
            format!("You said: {last}")
        };
        Ok(Self {
            text: behaviour.answer.unwrap_or(default),
            tool_call,
            prompt_tokens: prompt.iter().map(|text| count(text)).sum(),
            malformed: behaviour.malformed,
            drop_connection: behaviour.drop_connection,
        })
    }

    pub(crate) fn completion_tokens(&self) -> usize {
        count(&self.text) + usize::from(self.tool_call.is_some())
    }

    /// The text in pieces: each word with the space before it.
    pub(crate) fn pieces(&self) -> Vec<String> {
        self.text.split_inclusive(' ').map(str::to_owned).collect()
    }

    /// The whole answer, or what is left of it after a fault.
    pub(crate) fn whole(&self, body: &Value) -> Response {
        let text = body.to_string();
        if self.malformed {
            return json_response("{\"choices\": [oops".to_owned().into());
        }
        if self.drop_connection {
            let half = text[..text.len() / 2].to_owned();
            return json_response(broken_after(vec![half]));
        }
        json_response(text.into())
    }

    /// A stream of events `(name, data)`; an unnamed event has an empty name.
    pub(crate) fn stream(&self, events: Vec<(&str, String)>) -> Response {
        let frame = |(name, data): (&str, String)| {
            if name.is_empty() {
                format!("data: {data}\n\n")
            } else {
                format!("event: {name}\ndata: {data}\n\n")
            }
        };
        let mut frames: Vec<String> = events.into_iter().map(frame).collect();
        if self.malformed {
            frames = vec!["data: {oops\n\n".to_owned()];
        }
        let body = if self.drop_connection {
            frames.truncate(frames.len() / 2);
            broken_after(frames)
        } else {
            let chunks = frames.into_iter().map(Ok::<_, std::io::Error>);
            axum::body::Body::from_stream(futures::stream::iter(chunks))
        };
        ([("content-type", "text/event-stream")], body).into_response()
    }
}

/// A body that ends with an error, so that the connection is cut.
fn broken_after(parts: Vec<String>) -> axum::body::Body {
    let cut = Err(std::io::Error::other("cut by the script"));
    let parts = parts.into_iter().map(Ok).chain(std::iter::once(cut));
    axum::body::Body::from_stream(futures::stream::iter(parts))
}

fn json_response(body: axum::body::Body) -> Response {
    ([("content-type", "application/json")], body).into_response()
}

fn failure(status: u16, retry_after: Option<u64>, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(body)).into_response();
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert("retry-after", HeaderValue::from(seconds));
    }
    response
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

/// The text of a message's `content`: a string, or parts with `text`.
pub(crate) fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

/// A 400 in OpenAI's shape.
pub(crate) fn bad_request(message: &str) -> Response {
    let body =
        json!({"error": {"message": message, "type": "invalid_request_error", "code": null}});
    failure(400, None, body)
}
