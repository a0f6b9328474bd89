//! What a run is given of a request, and what is kept of it.

use super::{Request, Scheme};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// Largest body, bytes.
pub const MOST_BODY: usize = 1 << 20;
/// How much of a body is kept for the list of requests, bytes.
pub const MOST_KEPT: usize = 64 << 10;
/// Longest value of a header field that is kept, bytes.
const MOST_VALUE: usize = 4_096;

/// Header fields whose values are credentials, whatever the scheme is.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-gitlab-token",
    "x-hub-signature",
];
/// What stands in the place of such a value.
const BLANK: &str = "[redacted]";

/// The body as a value: JSON and forms are read, other text is text, what is no text is null. What is said to be JSON and
/// is none, is text.
pub fn parsed(request: &Request<'_>) -> Value {
    let kind = request.header("content-type").unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let text = match std::str::from_utf8(request.body) {
        Ok("") | Err(_) => return Value::Null,
        Ok(text) => text,
    };
    let read = match kind.as_str() {
        "application/x-www-form-urlencoded" => Some(pairs(text)),
        kind if kind == "application/json" || kind.ends_with("+json") || kind.is_empty() => {
            serde_json::from_str(text).ok()
        }
        _ => None,
    };
    let mut value = read.unwrap_or_else(|| Value::String(text.to_owned()));
    without_nul(&mut value);
    value
}

/// A query string or form as an object; a name that is there more than once is a list.
pub fn pairs(text: &str) -> Value {
    let mut all = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let value = Value::String(value.into_owned());
        match all.get_mut(&*name) {
            None => drop(all.insert(name.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    let mut value = Value::Object(all);
    without_nul(&mut value);
    value
}

/// The inputs of a run: `body`, `raw` with `raw_encoding` (`utf8` or `base64`), `headers` without credentials, `query`,
/// `path`, `params`, `method`, `delivery_id`.
pub fn inputs(
    scheme: &Scheme,
    request: &Request<'_>,
    body: Value,
    params: Map<String, Value>,
    delivery_id: Option<&str>,
) -> Map<String, Value> {
    let (raw, encoding) = raw(request.body);
    let path = format!("/{}", request.path.trim_end_matches('/'));
    let inputs = json!({
        "body": body, "raw": raw, "raw_encoding": encoding, "query": pairs(request.query), "path": path, "params": params,
        "method": request.method, "delivery_id": delivery_id,
        "headers": fields(scheme, request, |_| None),
    });
    match inputs {
        Value::Object(inputs) => inputs,
        _ => Map::new(),
    }
}

/// A body as text that JSON and the store can hold, and how it is written.
pub fn raw(body: &[u8]) -> (String, &'static str) {
    match std::str::from_utf8(body) {
        Ok(text) if !text.contains('\0') => (text.to_owned(), "utf8"),
        _ => (BASE64_STANDARD.encode(body), "base64"),
    }
}

/// The beginning of a body, as [`raw`] writes it.
pub fn kept(body: &[u8]) -> (String, &'static str) {
    let mut end = body.len().min(MOST_KEPT);
    if std::str::from_utf8(body).is_ok() {
        // Not through a character.
        while end < body.len() && body[end] & 0xc0 == 0x80 {
            end -= 1;
        }
    }
    raw(&body[..end])
}

/// The header fields for the list of requests: credentials are blanked.
pub fn shown(scheme: &Scheme, request: &Request<'_>) -> Map<String, Value> {
    fields(scheme, request, |_| Some(BLANK))
}

fn fields(
    scheme: &Scheme,
    request: &Request<'_>,
    in_place_of: impl Fn(&str) -> Option<&'static str>,
) -> Map<String, Value> {
    let own = scheme.header().map(str::to_ascii_lowercase);
    let mut all = Map::new();
    for (name, value) in request.headers {
        let name = name.as_str();
        // What the host says to the function is nobody else's.
        if name.starts_with("spin-") {
            continue;
        }
        let secret = CREDENTIALS.contains(&name) || own.as_deref() == Some(name);
        let text = match secret {
            true => in_place_of(name).map(str::to_owned),
            false => {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                Some(text.chars().take(MOST_VALUE).collect())
            }
        };
        let Some(text) = text else { continue };
        let joined = match all.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {text}"),
            None => text,
        };
        all.insert(name.to_owned(), Value::String(joined));
    }
    all
}

/// jsonb cannot hold U+0000: it becomes U+FFFD.
fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(without_nul),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains('\0')) {
                let old = std::mem::take(fields);
                let tidy = |(name, value): (String, Value)| (name.replace('\0', "\u{fffd}"), value);
                fields.extend(old.into_iter().map(tidy));
            }
            fields.values_mut().for_each(without_nul);
        }
        _ => {}
    }
}
