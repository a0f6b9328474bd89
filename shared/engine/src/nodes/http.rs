//! `http`: sends a request to a web service, and those for further pages.

mod attached;
mod batch;
mod body;
mod pages;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::attached::Attached;
pub use self::attached::FileContent;
pub use self::batch::HttpBatch;
use self::body::{ReadAs, SendAs};
pub use self::pages::Paged;
use self::pages::Pages;
use super::{Call, Effect, FileRef, Outcome, Spec, port};
use crate::fault::Faults;
use crate::log::{CallMeta, NodeError};
use crate::template;

/// Most bytes of an answer that are read, unless the node says less.
const MOST_BYTES: u64 = 10 * 1024 * 1024;

pub(super) fn spec() -> Spec {
    Spec {
        kind: "http".into(),
        title: "HTTP request".into(),
        description: "Sends a request to a web service. Follows up to 5 redirects; an answer of 400 or more fails the node unless fail_on_status is false.".into(),
        category: "network".into(),
        config_schema: config_schema(),
        inputs: vec![port("input", "Runs after these nodes", json!({}))],
        outputs: vec![port("output", "The answer", json!({
            "type": "object",
            "properties": {
                "status": {"type": "integer"},
                "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                "body": {"description": "As response_type says; of the last page"},
                "items": {"type": "array", "description": "With pagination: the items of all pages. With batch: status, headers and body of each answer, or error"},
                "pages": {"type": "integer", "description": "With pagination: how many"},
                "complete": {"type": "boolean", "description": "With pagination: whether it ended before max_pages"},
                "failed": {"type": "integer", "description": "With batch: how many requests failed"},
            },
        }))],
        example: json!({
            "method": "GET",
            "url": "https://example.com/api/people",
            "query": {"email": "{{ inputs.email }}"},
            "headers": {"authorization": "Bearer {{ secrets.PEOPLE_TOKEN }}"},
            "retry": {"max_attempts": 3},
        }),
    }
}

fn config_schema() -> Value {
    let mut schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["url"],
            "properties": {
                "method": {"type": "string", "enum": ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"], "default": "GET"},
                "url": {"type": "string", "minLength": 1, "x-nodeai-batch-names": batch::NAMES, "description": "http:// or https://"},
                "headers": {"type": "object", "x-nodeai-batch-names": batch::NAMES, "additionalProperties": {"type": "string"}},
                "query": {"type": "object", "x-nodeai-batch-names": batch::NAMES, "additionalProperties": {}, "description": "Added to the URL; lists repeat the name, null leaves it out"},
                "auth": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["connection"],
                    "properties": {"connection": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Id or name of a connected account; its access token is sent to its provider's hosts"}},
                },
                "max_response_bytes": {"type": "integer", "minimum": 1, "maximum": MOST_BYTES, "default": MOST_BYTES},
                "fail_on_status": {"type": "boolean", "default": true},
                "pagination": pages::schema(),
                "batch": batch::schema(),
            },
    });
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.extend(body::schemas());
    }
    schema
}

/// A request to send.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCall {
    /// The method.
    pub method: http::Method,
    /// The whole URL.
    pub url: url::Url,
    /// Header fields.
    pub headers: http::HeaderMap,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// The body while bytes of files are missing in it.
    attached: Option<Attached>,
    /// Most bytes of the answer.
    pub max_response_bytes: u64,
    /// Whether a status of 400 or more fails the node.
    pub fail_on_status: bool,
    /// The connected account (id or name) whose access token goes along.
    pub connection: Option<String>,
    /// How further pages are found, and what was on those before.
    pages: Option<Pages>,
    /// What of the answer is the output.
    read: Read,
    /// What its body is read as.
    read_as: ReadAs,
}

/// What of an answer is the node's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Status, header fields and body.
    Whole,
    /// The body.
    Body,
    /// The body, which says in its member `ok` whether it went well (Slack).
    SaysOk,
}

/// A request of a node for a service.
pub(super) struct Sending<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) query: &'a Map<String, Value>,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Option<Value>,
    pub(super) connection: Option<&'a str>,
    pub(super) read: Read,
}

/// The call of a node for a service.
///
/// # Errors
/// When something cannot be sent.
pub(super) fn service(sending: Sending<'_>) -> Result<Effect, NodeError> {
    let fields = sending.headers.iter();
    let fields = fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut headers = headers(&fields.collect())?;
    let body = body::write(sending.body, SendAs::Auto, &mut headers)?;
    let method = http::Method::from_bytes(sending.method.as_bytes());
    Ok(Effect::Http(Box::new(HttpCall {
        method: method.unwrap_or_default(),
        url: url(sending.url, sending.query)?,
        headers,
        body,
        attached: None,
        max_response_bytes: MOST_BYTES,
        fail_on_status: true,
        connection: sending.connection.map(str::to_owned),
        pages: None,
        read: sending.read,
        read_as: ReadAs::Auto,
    })))
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpReply {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

#[derive(Deserialize)]
struct Config {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    query: Map<String, Value>,
    body: Option<Value>,
    #[serde(default)]
    body_type: SendAs,
    #[serde(default)]
    response_type: ReadAs,
    max_response_bytes: Option<u64>,
    fail_on_status: Option<bool>,
    auth: Option<Auth>,
    pagination: Option<pages::Config>,
}

#[derive(Deserialize)]
struct Auth {
    connection: String,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    if call.data.contains_key("batch") {
        return batch::decide(call);
    }
    let one = call.config().and_then(read_config)?;
    Ok(Effect::Http(Box::new(one)))
}

fn read_config(config: Config) -> Result<HttpCall, NodeError> {
    let method = config.method.as_deref().unwrap_or("GET");
    let method = http::Method::from_bytes(method.as_bytes())
        .map_err(|_| NodeError::config("/method: no HTTP method".to_owned()))?;
    let mut headers = headers(&config.headers)?;
    let connection = config.auth.map(|auth| auth.connection);
    if connection.is_some() && headers.contains_key(http::header::AUTHORIZATION) {
        let message = "/headers/authorization: is set by auth already".to_owned();
        return Err(NodeError::config(message));
    }
    if config.response_type == ReadAs::File && config.pagination.is_some() {
        let message = "/response_type: pages are no files".to_owned();
        return Err(NodeError::config(message));
    }
    let attached = Attached::of(config.body.as_ref(), config.body_type)?;
    let body = match &attached {
        Some(_) => Vec::new(),
        None => body::write(config.body, config.body_type, &mut headers)?,
    };
    Ok(HttpCall {
        method,
        url: url(&config.url, &config.query)?,
        headers,
        body,
        attached,
        max_response_bytes: config.max_response_bytes.unwrap_or(MOST_BYTES),
        fail_on_status: config.fail_on_status.unwrap_or(true),
        connection,
        pages: config.pagination.map(Pages::new).transpose()?,
        read: Read::Whole,
        read_as: config.response_type,
    })
}

/// A URL that is written out must be one.
pub(super) fn check(data: &Map<String, Value>, at: &str, faults: &mut Faults) {
    let written = data.get("url").and_then(Value::as_str);
    if let Some(text) = written.filter(|text| !text.is_empty() && !template::is_template(text))
        && let Err(error) = url(text, &Map::new())
    {
        let words = error.message.trim_start_matches("/url: ");
        faults.add(format!("{at}/url"), "bad_url", words);
    }
}

fn url(text: &str, query: &Map<String, Value>) -> Result<url::Url, NodeError> {
    let mut url = url::Url::parse(text.trim()).map_err(|error| {
        NodeError::config(format!(
            "/url: {error}; it must start with http:// or https://"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NodeError::config(
            "/url: only http:// and https:// are allowed".to_owned(),
        ));
    }
    for (name, value) in query {
        let values = match value {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        for value in values.iter().filter(|value| !value.is_null()) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            url.query_pairs_mut().append_pair(name, &text);
        }
    }
    Ok(url)
}

fn headers(config: &BTreeMap<String, String>) -> Result<http::HeaderMap, NodeError> {
    let mut headers = http::HeaderMap::new();
    for (name, value) in config {
        let bad =
            || NodeError::config(format!("/headers/{name}: cannot be sent as a header field"));
        let field = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        // The connection's own fields would let a document smuggle requests.
        let own = [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
            "te",
            "trailer",
        ];
        if own.contains(&field.as_str()) {
            return Err(NodeError::config(format!(
                "/headers/{name}: is set by the connection itself"
            )));
        }
        headers.insert(
            field,
            http::HeaderValue::from_str(value).map_err(|_| bad())?,
        );
    }
    Ok(headers)
}

impl HttpCall {
    /// What is known of the call before its answer. The URL goes without query and
    /// credentials: both may hold secrets.
    pub fn meta(&self) -> CallMeta {
        let mut shown = self.url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        // These fail only for URLs that cannot have credentials.
        let _ = (shown.set_username(""), shown.set_password(None));
        CallMeta {
            http_method: Some(self.method.to_string()),
            url: Some(shown.to_string()),
            ..CallMeta::default()
        }
    }

    /// Everything on which the answer depends.
    pub(super) fn identity(&self) -> Value {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let body = match &self.attached {
            Some(attached) => attached.shown(),
            None => json!(self.body),
        };
        json!([
            self.method.as_str(),
            self.url.as_str(),
            headers.collect::<Vec<_>>(),
            body,
            self.max_response_bytes,
            self.fail_on_status,
            self.connection,
            self.pages.as_ref().map(Pages::identity),
            self.read_as,
        ])
    }

    /// Whether it is made with what only some users may use.
    pub(super) fn is_personal(&self) -> bool {
        self.connection.is_some() || self.attached.is_some() || self.read_as == ReadAs::File
    }

    /// What is sent, for the log.
    pub(super) fn shown(&self) -> Value {
        let body = match &self.attached {
            Some(attached) => attached.shown(),
            None => String::from_utf8_lossy(&self.body).into(),
        };
        json!({"method": self.method.as_str(), "url": self.meta().url, "body": body})
    }

    /// The files whose bytes are missing in its body.
    pub fn files(&self) -> &[FileRef] {
        self.attached.as_ref().map_or(&[], Attached::files)
    }

    /// Puts the files' bytes into its body, in the order of [`HttpCall::files`].
    ///
    /// # Errors
    /// When the body cannot be sent.
    pub fn attach(&mut self, contents: &[FileContent]) -> Result<(), NodeError> {
        if let Some(attached) = &self.attached {
            self.body = attached.write(contents, &mut self.headers)?;
            self.attached = None;
        }
        Ok(())
    }

    /// What the answer is stored as, if it is to become a file: its name and its media type.
    pub fn stores(&self, reply: &HttpReply) -> Option<(String, Option<String>)> {
        let wanted = self.read_as == ReadAs::File && reply.status < 400;
        wanted.then(|| attached::named(&self.url, &reply.headers))
    }

    /// Turns the answer into the node's output.
    ///
    /// # Errors
    /// A status of 400 or more, unless the node takes them; 408, 429 and 5xx may pass.
    pub fn finish(&self, reply: HttpReply) -> (CallMeta, Result<Outcome, NodeError>) {
        let meta = CallMeta {
            http_status: Some(reply.status),
            ..self.meta()
        };
        if self.fail_on_status && reply.status >= 400 {
            let retryable = matches!(reply.status, 408 | 425 | 429 | 500..);
            let mut error = NodeError::new(
                "http_status",
                format!("the server answered {}", reply.status),
                retryable,
            );
            error.retry_after_ms = retry_after_ms(&reply.headers);
            return (meta, Err(error));
        }
        let body = match body::read(&reply, self.read_as) {
            Ok(body) => body,
            Err(error) => return (meta, Err(error)),
        };
        if self.read != Read::Whole {
            return (meta, self.service_output(body));
        }
        let headers: Map<String, Value> = reply
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into(),
                )
            })
            .collect();
        let output = json!({
            "status": reply.status,
            "headers": headers,
            "body": body,
        });
        (meta, Ok(Outcome::new(output)))
    }
}

/// What Slack says when it may go well later.
const MAY_PASS: [&str; 5] = [
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
];

impl HttpCall {
    fn service_output(&self, body: Value) -> Result<Outcome, NodeError> {
        if self.read == Read::SaysOk && body["ok"] != true {
            let said = body["error"].as_str().unwrap_or("no reason");
            let message = format!("the service refused: {said}");
            return Err(NodeError::new("service", message, MAY_PASS.contains(&said)));
        }
        Ok(Outcome::new(body))
    }
}

pub(super) fn retry_after_ms(headers: &http::HeaderMap) -> Option<u64> {
    let seconds: u64 = headers
        .get("retry-after")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(seconds.saturating_mul(1_000))
}
