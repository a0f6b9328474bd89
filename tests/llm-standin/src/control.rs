//! The control endpoints: what to do next, and what has arrived.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Behaviour, Shared};

const MOST_BYTES: usize = 32 * 1024 * 1024;

/// A request that arrived.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arrived {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its header fields, names in lower case.
    pub headers: Map<String, Value>,
    /// Its body: JSON if it is, else text.
    pub body: Value,
    /// Its body as it came, for whoever verifies a signature.
    pub text: String,
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/__script", post(script))
        .route("/__requests", get(requests).delete(forget))
}

async fn script(
    State(shared): State<Shared>,
    Json(behaviours): Json<Vec<Behaviour>>,
) -> StatusCode {
    shared.lock().script.extend(behaviours);
    StatusCode::NO_CONTENT
}

async fn requests(State(shared): State<Shared>) -> Json<Vec<Arrived>> {
    Json(shared.lock().requests.clone())
}

async fn forget(State(shared): State<Shared>) -> StatusCode {
    let mut inner = shared.lock();
    inner.requests.clear();
    inner.script.clear();
    StatusCode::NO_CONTENT
}

/// Notes every request before it is handled.
pub(crate) async fn record(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, MOST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let headers = head.headers.iter();
    let headers = headers.map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes())
                .into_owned()
                .into(),
        )
    });
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
    shared.lock().requests.push(Arrived {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: headers.collect(),
        body,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    });
    next.run(Request::from_parts(head, Body::from(bytes))).await
}
