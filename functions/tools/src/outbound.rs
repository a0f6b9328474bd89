//! One request to a URL of the user's through the host: guarded, no redirects, no more bytes than are wanted.

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Request, header};
use http_body_util::BodyDataStream;
use nodeai_edge::http_client;
use nodeai_guard::{Refused, UrlGuard};
use nodeai_ports::SendError;
use nodeai_toolkit::request::Outgoing;
use url::Url;

/// Who requests say they are from.
pub const AGENT: &str = concat!("NodeAI-Tools/", env!("CARGO_PKG_VERSION"));

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable word, such as `timeout` or `url_refused`.
    pub kind: &'static str,
    /// For a person.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// The status of HTTP, where there was one.
    pub status: Option<u16>,
}

impl Failure {
    /// A failure that stays.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retryable: false,
            status: None,
        }
    }

    /// One that may pass.
    pub fn passing(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            retryable: true,
            ..Self::new(kind, message)
        }
    }

    /// With a status of HTTP.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// A request that the host could not send.
    pub fn of(error: &SendError) -> Self {
        match error {
            SendError::Refused(_) => Self::new("url_refused", error.to_string()),
            SendError::Timeout => Self::passing("timeout", error.to_string()),
            SendError::Unreachable(_) => Self::passing("unreachable", error.to_string()),
            SendError::Failed(_) => Self::passing("network", error.to_string()),
        }
    }
}

impl From<(&'static str, String)> for Failure {
    fn from((kind, message): (&'static str, String)) -> Self {
        Self::new(kind, message)
    }
}

/// An answer.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// `Content-Type`.
    pub fn media(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }
}

/// Checks a URL. Errors: why it may not be called.
pub fn guarded(guard: &UrlGuard, url: &Url, confidential: bool) -> Result<(), Failure> {
    let checked = match confidential {
        true => guard.check_confidential(url),
        false => guard.check(url),
    };
    checked.map_err(|refused| {
        let kind = match refused {
            Refused::Unlisted(_) => "egress_refused",
            _ => "url_refused",
        };
        Failure::new(kind, refused.to_string())
    })
}

/// Sends a request and reads an answer of at most so many bytes. Errors: why there is none.
pub async fn send(guard: &UrlGuard, outgoing: Outgoing, most: usize) -> Result<Answer, Failure> {
    guarded(guard, &outgoing.url, outgoing.confidential)?;
    let sent = http_client::send(request(outgoing)?).await;
    let response = sent.map_err(|error| Failure::of(&error))?;
    let (parts, body) = response.into_parts();
    let status = parts.status.as_u16();
    if parts.status.is_redirection() && status != 304 {
        let to = parts.headers.get(header::LOCATION);
        let to = to.and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
        let text = format!("redirects are not followed; it leads to {to}");
        return Err(Failure::new("redirect_refused", text).with_status(status));
    }
    let mut chunks = BodyDataStream::new(body);
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|code| Failure::of(&http_client::send_error(code)))?;
        all.extend_from_slice(&chunk);
        if all.len() > most {
            let text = format!("the answer is larger than {most} bytes");
            return Err(Failure::new("too_large", text).with_status(status));
        }
    }
    Ok(Answer {
        status,
        headers: parts.headers,
        body: all,
    })
}

fn request(outgoing: Outgoing) -> Result<Request<Bytes>, Failure> {
    let mut builder = Request::builder()
        .method(outgoing.method.as_str())
        .uri(outgoing.url.as_str())
        .header(header::USER_AGENT, AGENT);
    for (name, value) in &outgoing.headers {
        builder = builder.header(name, value);
    }
    let made = builder.body(Bytes::from(outgoing.body.unwrap_or_default()));
    made.map_err(|error| Failure::new("request", error.to_string()))
}
