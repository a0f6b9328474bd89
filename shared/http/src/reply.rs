//! Answers: JSON, created, no content, and streams of server-sent events.

use crate::openapi::Describe;
use crate::problem::Problem;
use bytes::Bytes;
use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// A response body: buffered (sent with `Content-Length`) or streamed.
pub enum Body {
    /// The whole body.
    Full(Bytes),
    /// Chunks as they come; each chunk is a whole event.
    Stream(BoxStream<'static, Bytes>),
}

/// What the dispatcher sends.
pub type Response = http::Response<Body>;

/// Anything a handler may answer with.
pub trait IntoReply {
    /// Turns the answer into a response.
    fn into_reply(self) -> Response;
    /// Adds the answer to the operation's OpenAPI description.
    fn describe(_: &mut Describe) {}
}

/// A JSON answer with a status, 200 unless changed.
#[derive(Debug, Clone)]
pub struct Json<T> {
    /// HTTP status.
    pub status: StatusCode,
    /// Extra headers such as `Location` and `ETag`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: T,
}

impl<T> Json<T> {
    /// 200 with `body`.
    pub fn ok(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            body,
        }
    }

    /// Adds a header; a value that is no valid header is left out.
    pub fn header(mut self, name: HeaderName, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.headers.push((name, value));
        }
        self
    }
}

impl<T: Serialize + JsonSchema> IntoReply for Json<T> {
    fn into_reply(self) -> Response {
        json_response(self.status, self.headers, &self.body)
    }

    fn describe(op: &mut Describe) {
        op.json_response::<T>("200", "The answer");
    }
}

/// A response with `application/json` and the given status and headers.
pub fn json_response<T: Serialize>(
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: &T,
) -> Response {
    let Ok(bytes) = serde_json::to_vec(body) else {
        return Problem::internal("the answer could not be written").into_response();
    };
    let mut response = Response::new(Body::Full(bytes.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response.headers_mut().extend(headers);
    response
}

impl IntoReply for Response {
    fn into_reply(self) -> Response {
        self
    }
}

/// 204.
pub struct NoContent;

impl IntoReply for NoContent {
    fn into_reply(self) -> Response {
        let mut response = Response::new(Body::Full(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }

    fn describe(op: &mut Describe) {
        op.empty_response("204", "Done");
    }
}

/// A response of server-sent events (WHATWG HTML, section 9.2).
pub fn event_stream(events: BoxStream<'static, Bytes>) -> Response {
    let mut response = Response::new(Body::Stream(events));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Reverse proxies such as nginx buffer unless told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A response of server-sent events, or 204 when there will be none.
pub struct EventStream(pub Response);

impl IntoReply for EventStream {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.response(
            "200",
            json!({"description": "Server-sent events",
                "content": {"text/event-stream": {"schema": {"type": "string"}}}}),
        );
        op.empty_response("204", "There will be no more events");
    }
}

/// One server-sent event with a JSON payload. Without an id the client keeps the last one as its `Last-Event-ID`.
pub fn sse_event(name: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}

/// A comment, which clients skip: keeps proxies from closing a stream in which nothing happens.
pub fn sse_keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}
