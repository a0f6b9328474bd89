//! What can go wrong at a provider, and whether trying again may help.

use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const LONGEST_MESSAGE: usize = 500;

/// The kind of a provider failure; stable names, they end up in logs and spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No or a wrong API key, or one without the right.
    Authentication,
    /// Too many requests.
    RateLimited,
    /// The account has no credit left.
    QuotaExceeded,
    /// The provider does not accept the request.
    InvalidRequest,
    /// No such model.
    NotFound,
    /// The provider failed or is overloaded.
    Unavailable,
    /// The answer is not what the provider's contract says.
    MalformedResponse,
    /// The answer stopped before its end.
    Incomplete,
}

impl ErrorKind {
    /// The name in logs and spans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::InvalidRequest => "invalid_request",
            Self::NotFound => "not_found",
            Self::Unavailable => "unavailable",
            Self::MalformedResponse => "malformed_response",
            Self::Incomplete => "incomplete",
        }
    }
}

/// A provider failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind.
    pub kind: ErrorKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// For people; the provider's own words where it sent any, without keys.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// How long the provider asks to wait, in ms.
    pub retry_after_ms: Option<u64>,
}

impl Error {
    /// An answer that breaks the provider's contract. A retry may get a whole one.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::plain(ErrorKind::MalformedResponse, message, true)
    }

    /// A stream that ended too early.
    pub fn incomplete(message: impl Into<String>) -> Self {
        Self::plain(ErrorKind::Incomplete, message, true)
    }

    /// A request that cannot be built.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::plain(ErrorKind::InvalidRequest, message, false)
    }

    fn plain(kind: ErrorKind, message: impl Into<String>, retryable: bool) -> Self {
        Self {
            kind,
            status: None,
            message: message.into(),
            retryable,
            retry_after_ms: None,
        }
    }

    /// Classifies an answer whose status is not a success.
    pub fn from_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let (code, message) = words_of(&body);
        let kind = match status.as_u16() {
            _ if code == "insufficient_quota" => ErrorKind::QuotaExceeded,
            401 | 403 => ErrorKind::Authentication,
            402 => ErrorKind::QuotaExceeded,
            404 => ErrorKind::NotFound,
            429 => ErrorKind::RateLimited,
            408 | 409 | 500.. => ErrorKind::Unavailable,
            _ => ErrorKind::InvalidRequest,
        };
        let said = message.map_or_else(String::new, |text| format!(": {}", tidy(&text)));
        Self {
            kind,
            status: Some(status.as_u16()),
            message: format!("the provider answered {}{said}", status.as_u16()),
            retryable: matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable),
            retry_after_ms: retry_after_ms(headers),
        }
    }

    /// Classifies an error object sent in the middle of a stream.
    pub(crate) fn from_stream(error: &Value) -> Self {
        let (code, message) = words_of(error);
        let kind = match code.as_str() {
            "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" => {
                ErrorKind::RateLimited
            }
            "invalid_request_error" | "INVALID_ARGUMENT" => ErrorKind::InvalidRequest,
            "authentication_error" | "permission_error" => ErrorKind::Authentication,
            _ => ErrorKind::Unavailable,
        };
        let message = message.map_or_else(|| "no details".to_owned(), |text| tidy(&text));
        let retryable = matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable);
        Self::plain(
            kind,
            format!("the provider broke off: {message}"),
            retryable,
        )
    }
}

/// The error code and message in OpenAI's, Anthropic's or Gemini's error body.
fn words_of(body: &Value) -> (String, Option<String>) {
    let body = body
        .as_array()
        .and_then(|list| list.first())
        .unwrap_or(body);
    let error = body.get("error").unwrap_or(body);
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = text("code")
        .or_else(|| text("status"))
        .or_else(|| text("type"));
    let message = text("message").or_else(|| error.as_str().map(str::to_owned));
    (code.unwrap_or_default(), message)
}

/// Cuts a provider's message to size and blanks what looks like a key: providers quote
/// (parts of) a wrong key back.
fn tidy(message: &str) -> String {
    let looks_like_key = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        ["sk-", "sk_", "AIza", "gsk_", "xai-", "Bearer"]
            .iter()
            .any(|start| word.starts_with(start))
    };
    let words = message.split_whitespace();
    let words = words.map(|word| {
        if looks_like_key(word) {
            "[redacted]"
        } else {
            word
        }
    });
    let mut text = words.collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = text.char_indices().nth(LONGEST_MESSAGE) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// `retry-after-ms` (OpenAI) or `Retry-After` in seconds. A date is ignored: there is no clock here.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let ms = number("retry-after-ms").or_else(|| number("retry-after").map(|s| s * 1_000.0))?;
    (ms.is_finite() && ms >= 0.0).then_some(ms as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(status: u16, body: &str) -> Error {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("2"));
        let status = StatusCode::from_u16(status).expect("status");
        Error::from_response(status, &headers, body.as_bytes())
    }

    #[test]
    fn a_429_is_retryable_and_says_when() {
        let error = classify(
            429,
            r#"{"error":{"message":"slow down","code":"rate_limit"}}"#,
        );
        assert_eq!(
            (error.kind, error.retryable),
            (ErrorKind::RateLimited, true)
        );
        assert_eq!(error.retry_after_ms, Some(2_000));
        assert_eq!(error.message, "the provider answered 429: slow down");
    }

    #[test]
    fn an_empty_account_is_not_retryable() {
        let error = classify(
            429,
            r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#,
        );
        assert_eq!(
            (error.kind, error.retryable),
            (ErrorKind::QuotaExceeded, false)
        );
    }

    #[test]
    fn a_quoted_key_is_blanked() {
        let error = classify(
            401,
            r#"{"error":{"message":"Incorrect API key: sk-abc123."}}"#,
        );
        assert!(!error.message.contains("abc123"), "{}", error.message);
        assert_eq!(error.kind, ErrorKind::Authentication);
    }

    #[test]
    fn a_body_that_is_not_json_still_has_a_status() {
        assert_eq!(classify(502, "<html>").message, "the provider answered 502");
        assert!(classify(529, "").retryable);
    }
}
