//! A request in the making: what of it may be shown, and what is secret.

use crate::Fault;
use url::Url;

/// Header fields that are not a user's to set: they frame the message, or belong to the connection.
const RESERVED: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "proxy-authorization",
    "proxy-connection",
    "cookie2",
];

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Method, in capitals.
    pub method: String,
    /// Where it goes.
    pub url: Url,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Option<Vec<u8>>,
    /// Whether anything in it is secret.
    pub confidential: bool,
}

impl Outgoing {
    /// A request without header fields and body.
    pub fn new(method: &str, url: Url) -> Self {
        Self {
            method: method.to_owned(),
            url,
            headers: Vec::new(),
            body: None,
            confidential: false,
        }
    }

    /// Sets a header field, in place of one of that name.
    pub fn set_header(&mut self, name: &str, value: impl Into<String>) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_ascii_lowercase(), value.into()));
    }

    /// Sets a header field that is secret.
    pub fn secret_header(&mut self, name: &str, value: String) {
        self.confidential = true;
        self.set_header(name, value);
    }

    /// Adds a query parameter that is secret.
    pub fn secret_query(&mut self, name: &str, value: &str) {
        self.confidential = true;
        self.url.query_pairs_mut().append_pair(name, value);
    }

    /// A header field's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The URL as logs and spans may have it: without its query, where keys stand.
    pub fn shown_url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.into()
    }
}

/// Reports a name of a header field that is none, or not the user's to set. `credential` is whether it is to hold one.
pub fn check_header(name: &str, at: &str, credential: bool, faults: &mut Vec<Fault>) {
    let fine = http::HeaderName::try_from(name).is_ok();
    let lower = name.to_ascii_lowercase();
    if !fine || RESERVED.contains(&lower.as_str()) || lower.starts_with("mcp-") {
        let detail = "is no name of a header field that may be set";
        faults.push(Fault::new(at, "invalid", detail));
    } else if !credential && lower == "authorization" {
        let detail = "use auth for credentials, or {{ secrets.NAME }} in the value";
        faults.push(Fault::new(at, "invalid", detail));
    }
}

/// Reports a URL that is none, or has credentials or a fragment.
pub fn check_url(text: &str, at: &str, faults: &mut Vec<Fault>) {
    let url = Url::parse(text).ok().filter(|_| text.len() <= 2_000);
    let fine = url.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    if !fine {
        let detail =
            "must be an http(s) URL of at most 2000 characters without credentials and fragment";
        faults.push(Fault::new(at, "format", detail));
    }
}
