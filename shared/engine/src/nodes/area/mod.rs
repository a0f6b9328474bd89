//! Nodes that use the platform's own areas: files, knowledge bases, tools. Each is one request to the area's component, with a key that
//! lets the run act as its owner while it is at work. No URL of a user's leads there, and no secret goes along.

mod file;
mod files;
mod index;
mod retrieve;
mod tool;
mod webhook;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

pub use self::file::FileRef;
pub(super) use self::file::is_reference;
use super::{Call, Effect, Kind, Outcome, Spec, port};
use crate::log::{CallMeta, NodeError};

/// Most bytes of an answer.
const MOST_ANSWER: u64 = 10 * 1024 * 1024;

/// The nodes of this family.
pub(super) fn kinds() -> Vec<Kind> {
    vec![
        Kind::new(retrieve::spec(), retrieve::decide).checked(retrieve::check),
        Kind::new(index::spec(), index::decide).checked(index::check),
        Kind::new(tool::spec(), tool::decide),
        Kind::new(files::read_spec(), files::read),
        Kind::new(files::extract_spec(), files::extract),
        Kind::new(files::write_spec(), files::write),
        Kind::new(webhook::spec(), webhook::decide).checked(webhook::check),
    ]
}

/// A request to one of the platform's own areas.
#[derive(Debug, Clone, PartialEq)]
pub struct AreaCall {
    area: &'static str,
    method: Method,
    /// With its query.
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    finish: Finish,
    /// What it does, for the log.
    shown: Value,
}

/// How an answer becomes an output.
#[derive(Debug, Clone, PartialEq)]
enum Finish {
    /// Passages, also as one text.
    Passages,
    /// What a tool gave.
    Tool,
    /// A file's content.
    Content(files::As),
    /// The answer as it is.
    Whole,
    /// The file that was stored.
    Stored,
}

/// What an area answered.
#[derive(Debug, Clone, Copy)]
pub struct AreaReply<'a> {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

impl AreaCall {
    fn new(area: &'static str, method: Method, path: String, finish: Finish) -> Self {
        Self {
            area,
            method,
            path,
            headers: Vec::new(),
            body: Vec::new(),
            finish,
            shown: Value::Null,
        }
    }

    fn json(mut self, body: &Value) -> Self {
        let kind = HeaderValue::from_static("application/json");
        self.headers.push((header::CONTENT_TYPE, kind));
        self.body = body.to_string().into_bytes();
        self
    }

    fn shown_as(mut self, shown: Value) -> Self {
        self.shown = shown;
        self
    }

    fn effect(self) -> Effect {
        Effect::Area(Box::new(self))
    }

    /// Reads a file's content.
    pub fn content_of(file: &FileRef) -> Self {
        let path = format!("/api/v1/files/{}/content", segment(&file.id));
        Self::new("files", Method::GET, path, Finish::Content(files::As::Auto))
    }

    /// Stores bytes as a file.
    pub fn store(name: &str, content_type: Option<&str>, bytes: Vec<u8>) -> Self {
        let query = form(&[("name", Some(name))]);
        let path = format!("/api/v1/files?{query}");
        let mut call = Self::new("files", Method::POST, path, Finish::Stored);
        let kind = content_type.and_then(|kind| HeaderValue::from_str(kind).ok());
        let kind = kind.filter(|kind| !kind.as_bytes().starts_with(b"multipart/"));
        let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        call.headers.push((header::CONTENT_TYPE, kind));
        call.body = bytes;
        call
    }

    /// The request, without the key.
    ///
    /// # Errors
    /// When something cannot be sent.
    pub fn request(&self) -> Result<http::Request<Vec<u8>>, NodeError> {
        let url = format!("http://{}.spin.internal{}", self.area, self.path);
        let request = http::Request::builder()
            .method(self.method.clone())
            .uri(url)
            .body(self.body.clone());
        let mut request = request.map_err(|error| NodeError::config(error.to_string()))?;
        request.headers_mut().extend(self.headers.iter().cloned());
        Ok(request)
    }

    /// Whether a repetition of it does nothing more.
    pub fn only_reads(&self) -> bool {
        self.method == Method::GET
    }

    /// Most bytes of its answer.
    pub fn most_bytes(&self) -> u64 {
        MOST_ANSWER
    }

    /// Everything on which the answer depends but what the area holds.
    pub(super) fn identity(&self) -> Value {
        let body = String::from_utf8_lossy(&self.body);
        json!([self.area, self.method.as_str(), self.path, body])
    }

    /// What is asked, for the log.
    pub(super) fn shown(&self) -> Value {
        self.shown.clone()
    }

    /// Turns the answer into the node's output.
    ///
    /// # Errors
    /// The area refused, or cannot be reached for now.
    pub fn finish(&self, reply: AreaReply<'_>) -> (CallMeta, Result<Outcome, NodeError>) {
        let meta = CallMeta {
            http_status: Some(reply.status),
            ..CallMeta::default()
        };
        if !(200..300).contains(&reply.status) {
            return (meta, Err(refused(&reply)));
        }
        let output = match &self.finish {
            Finish::Passages => parsed(&reply).map(retrieve::output),
            Finish::Tool => parsed(&reply).and_then(tool::output),
            Finish::Content(kind) => files::content(*kind, &reply),
            Finish::Whole => parsed(&reply),
            Finish::Stored => parsed(&reply).map(|file| file::shown(&file)),
        };
        (meta, output.map(Outcome::new))
    }
}

fn parsed(reply: &AreaReply<'_>) -> Result<Value, NodeError> {
    serde_json::from_slice(reply.body).map_err(|_| {
        let message = "the answer is not what was asked for";
        NodeError::new("malformed_response", message, false)
    })
}

/// The area's problem as the node's error: its type's last part is the kind, its faults are named.
fn refused(reply: &AreaReply<'_>) -> NodeError {
    let problem: Value = serde_json::from_slice(reply.body).unwrap_or_default();
    let kind = problem["type"].as_str().and_then(|kind| {
        let last = kind.trim_end_matches('/').rsplit('/').next()?;
        Some(last.replace('-', "_")).filter(|kind| !kind.is_empty() && kind != "about:blank")
    });
    let detail = problem["detail"].as_str().or(problem["title"].as_str());
    let mut message = detail.map_or_else(
        || format!("the answer's status is {}", reply.status),
        str::to_owned,
    );
    for fault in problem["errors"].as_array().into_iter().flatten().take(5) {
        if let (Some(at), Some(what)) = (fault["pointer"].as_str(), fault["detail"].as_str()) {
            message.push_str(&format!("; {at}: {what}"));
        }
    }
    let retryable = matches!(reply.status, 408 | 425 | 429 | 500..);
    let mut error = NodeError::new(kind.as_deref().unwrap_or("refused"), message, retryable);
    error.retry_after_ms = super::http::retry_after_ms(reply.headers);
    error
}

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A query of the fields that are there.
fn form(fields: &[(&str, Option<&str>)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    form.finish()
}

#[cfg(test)]
mod tests;
