//! The HTTP answer that a run's `respond` node gives, as far as it may go out under the application's own name.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

/// Header fields that are the application's own: of its connections, its origin, its cookies.
const OWN: &[&str] = &[
    "connection",
    "content-length",
    "content-security-policy",
    "keep-alive",
    "proxy-authenticate",
    "server-timing",
    "service-worker-allowed",
    "set-cookie",
    "clear-site-data",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "traceparent",
    "upgrade",
    "x-trace-id",
    "x-content-type-options",
];

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

/// The answer among a run's outputs: the first value that is just what a `respond` node gives, `status`, `headers` and
/// `body`. Its page has an origin of its own (`Content-Security-Policy: sandbox`): what a workflow writes must not act as
/// the API's origin.
pub fn of_outputs(outputs: &Value) -> Option<Answer> {
    outputs.as_object()?.values().find_map(answer)
}

fn answer(value: &Value) -> Option<Answer> {
    let fields = value.as_object().filter(|fields| fields.len() == 3)?;
    let status = u16::try_from(fields.get("status")?.as_u64()?).ok()?;
    let given = fields.get("headers")?.as_object()?;
    let body = match fields.get("body")? {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        other => serde_json::to_vec(other).ok()?,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let field = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()?),
        );
        if let (Ok(name), Ok(value)) = field
            && !OWN.contains(&name.as_str())
            && !name.as_str().starts_with("access-control-")
        {
            headers.insert(name, value);
        }
    }
    let sandbox = HeaderValue::from_static("sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, sandbox);
    Some(Answer {
        status: StatusCode::from_u16(status)
            .ok()
            .filter(|s| s.as_u16() >= 200)?,
        headers,
        body,
    })
}
