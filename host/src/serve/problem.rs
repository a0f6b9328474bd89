//! Answers that the host itself gives, as problem+json (RFC 9457).
use http::{HeaderValue, Response, StatusCode, header};

use super::handle::Body;

/// A problem answer; `trace` is the request's trace id.
pub fn answer(status: StatusCode, detail: &str, trace: &str) -> Response<Body> {
    let text = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": detail,
        "trace_id": trace,
    })
    .to_string();
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    ) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Ok(trace) = HeaderValue::from_str(trace) {
        headers.insert("x-trace-id", trace);
    }
    response
}
