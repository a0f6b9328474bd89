//! From a request of HTTP to messages that can be answered, or to the refusal that the transport prescribes.

use super::answer::Answer;
use crate::header::{self, name};
use crate::rpc::{self, Message, RpcError, code};
use crate::version::{self, Era};
use crate::{meta, rpc::Unreadable};
use http::{HeaderMap, Method, header as field};
use serde_json::{Map, Value};
use url::Url;

/// Most messages in one body, where a revision lets them come together.
const MOST_MESSAGES: usize = 50;

/// What the server's operator has decided.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Origins (`https://app.example.com`) whose pages may call, beside those of this machine.
    pub origins: Vec<String>,
}

/// A request that can be answered.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) id: Value,
    pub(crate) method: String,
    pub(crate) params: Map<String, Value>,
    pub(crate) era: Era,
    pub(crate) version: &'static str,
    pub(crate) headers: HeaderMap,
}

impl Request {
    /// Its method, such as `tools/call`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its id.
    pub fn id(&self) -> &Value {
        &self.id
    }

    /// The name of the tool, prompt or resource that it is about.
    pub fn subject(&self) -> Option<&str> {
        header::subject(&self.method, &self.params).flatten()
    }

    /// Its revision.
    pub fn version(&self) -> &'static str {
        self.version
    }
}

/// What came in.
#[derive(Debug)]
pub enum Received {
    /// Nothing to be asked of a provider.
    Answer(Answer),
    /// One request.
    One(Box<Request>),
    /// Several, to be answered by one list (revision 2025-03-26): requests, and refusals of what is none.
    Batch(Vec<Result<Request, Value>>),
}

/// Takes a request apart.
pub fn receive(method: &Method, headers: &HeaderMap, body: &[u8], rules: &Rules) -> Received {
    match check(method, headers, rules).and_then(|()| read(headers, body)) {
        Ok(received) => received,
        Err(answer) => Received::Answer(answer),
    }
}

/// What holds for every request, whatever it says.
fn check(method: &Method, headers: &HeaderMap, rules: &Rules) -> Result<(), Answer> {
    let text = |name: &field::HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    if let Some(origin) = text(&field::ORIGIN)
        && !origin_is_fine(origin, rules)
    {
        return Err(refuse(403, "this origin may not call"));
    }
    if method != Method::POST {
        let answer = refuse(405, "this endpoint takes POST");
        return Err(answer.allowing("POST"));
    }
    let media = text(&field::CONTENT_TYPE).unwrap_or_default();
    if media
        .split(';')
        .next()
        .map(str::trim)
        .map(str::to_ascii_lowercase)
        != Some("application/json".to_owned())
    {
        return Err(refuse(415, "send application/json"));
    }
    let accepted = text(&field::ACCEPT).unwrap_or("*/*");
    match accepts(accepted, "application/json") && accepts(accepted, "text/event-stream") {
        true => Ok(()),
        false => Err(refuse(
            406,
            "Accept must have application/json and text/event-stream",
        )),
    }
}

fn refuse(status: u16, why: &str) -> Answer {
    Answer::refusal(status, None, &RpcError::new(code::INVALID_REQUEST, why))
}

fn accepts(accepted: &str, media: &str) -> bool {
    let group = media.split('/').next().unwrap_or_default();
    accepted.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        let range = range.to_ascii_lowercase();
        range == media || range == "*/*" || range == format!("{group}/*")
    })
}

/// Whether an authority is this machine.
fn is_local(authority: &str) -> bool {
    let url = Url::parse(&format!("http://{authority}/"));
    let host = url.ok().and_then(|url| url.host_str().map(str::to_owned));
    matches!(host.as_deref(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn origin_is_fine(origin: &str, rules: &Rules) -> bool {
    let same = |known: &String| known.trim_end_matches('/').eq_ignore_ascii_case(origin);
    let local = origin
        .split_once("://")
        .is_some_and(|(_, authority)| is_local(authority));
    local || rules.origins.iter().any(same)
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Received, Answer> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let error = RpcError::new(code::PARSE, format!("Parse error: {error}"));
        Answer::refusal(400, None, &error)
    })?;
    let said = headers
        .get(name::VERSION)
        .map(|v| v.to_str().unwrap_or("?"));
    match value {
        Value::Array(messages) => batch(headers, said, messages),
        message => one(headers, said, message),
    }
}

fn unreadable(wrong: Unreadable) -> Answer {
    Answer::refusal(400, wrong.id.as_ref(), &wrong.error)
}

fn one(headers: &HeaderMap, said: Option<&str>, message: Value) -> Result<Received, Answer> {
    match rpc::read(message).map_err(unreadable)? {
        Message::Request { id, method, params } => {
            let request = request(headers, said, id, method, params)?;
            Ok(Received::One(Box::new(request)))
        }
        Message::Notification { .. } | Message::Response { .. } => {
            known(said.unwrap_or(version::WITHOUT_HEADER), None)?;
            Ok(Received::Answer(Answer::accepted()))
        }
    }
}

/// Several messages in one body: only the first revision of this transport has that.
fn batch(headers: &HeaderMap, said: Option<&str>, all: Vec<Value>) -> Result<Received, Answer> {
    if said.is_some_and(|said| said != version::WITHOUT_HEADER) {
        return Err(refuse(400, "send one message in a request"));
    }
    if all.is_empty() || all.len() > MOST_MESSAGES {
        return Err(refuse(400, "1 to 50 messages in a request"));
    }
    let mut requests = Vec::new();
    for message in all {
        match rpc::read(message) {
            Ok(Message::Request { id, method, params }) => {
                let request = request(headers, said, id, method, params);
                requests.push(request.map_err(|answer| answer.body.unwrap_or_default()));
            }
            Ok(_) => {}
            Err(wrong) => requests.push(Err(rpc::refusal(wrong.id.as_ref(), &wrong.error))),
        }
    }
    match requests.is_empty() {
        true => Ok(Received::Answer(Answer::accepted())),
        false => Ok(Received::Batch(requests)),
    }
}

fn known(said: &str, id: Option<&Value>) -> Result<Era, Answer> {
    version::era(said).ok_or_else(|| {
        let error = RpcError::new(code::UNSUPPORTED_VERSION, "Unsupported protocol version");
        let data = serde_json::json!({"supported": [version::MODERN], "requested": said});
        Answer::refusal(400, id, &error.with(data))
    })
}

/// A request of the era that it shows: by its `_meta`, else by its header field.
fn request(
    headers: &HeaderMap,
    said: Option<&str>,
    id: Value,
    method: String,
    params: Map<String, Value>,
) -> Result<Request, Answer> {
    let own = params.get("_meta").and_then(|m| m.get(meta::VERSION));
    let legacy = |said: &str| version::era(said) == Some(Era::Legacy);
    let (version, era) = match (own, said) {
        (None, None) => (version::WITHOUT_HEADER, Era::Legacy),
        (None, Some(said)) if legacy(said) => (said, Era::Legacy),
        // The handshake is where a revision is agreed on.
        (None, Some(said)) if method == "initialize" && version::era(said).is_none() => {
            (version::LEGACY[0], Era::Legacy)
        }
        _ => (modern(said, &id, &params)?, Era::Modern),
    };
    let version = match era {
        Era::Modern => version::MODERN,
        Era::Legacy => version::LEGACY
            .into_iter()
            .find(|known| *known == version)
            .unwrap_or(version::WITHOUT_HEADER),
    };
    let request = Request {
        id,
        method,
        params,
        era,
        version,
        headers: headers.clone(),
    };
    if era == Era::Modern {
        let mismatch = |why: String| {
            let error = RpcError::new(code::HEADER_MISMATCH, format!("Header mismatch: {why}"));
            Answer::refusal(400, Some(&request.id), &error)
        };
        headers_agree(&request).map_err(mismatch)?;
    }
    Ok(request)
}

/// The revision of a request since 2026-07-28, which says it twice, and what its client can do.
fn modern<'a>(
    said: Option<&'a str>,
    id: &Value,
    params: &Map<String, Value>,
) -> Result<&'a str, Answer> {
    let refuse = |error: &RpcError| Answer::refusal(400, Some(id), error);
    let meta = params.get("_meta").and_then(Value::as_object);
    let own = meta
        .and_then(|m| m.get(meta::VERSION))
        .and_then(Value::as_str);
    let Some(own) = own else {
        let why = format!("Invalid params: _meta must have {}", meta::VERSION);
        return Err(refuse(&RpcError::params(why)));
    };
    let Some(said) = said else {
        let why = "Header mismatch: MCP-Protocol-Version is missing";
        return Err(refuse(&RpcError::new(code::HEADER_MISMATCH, why)));
    };
    if said != own {
        let why = format!("Header mismatch: MCP-Protocol-Version says {said:?}, _meta {own:?}");
        return Err(refuse(&RpcError::new(code::HEADER_MISMATCH, why)));
    }
    if known(own, Some(id))? == Era::Legacy {
        let error = RpcError::new(code::UNSUPPORTED_VERSION, "Unsupported protocol version");
        let data = serde_json::json!({"supported": [version::MODERN], "requested": own});
        return Err(refuse(&error.with(data)));
    }
    let can = meta.and_then(|m| m.get(meta::CAPABILITIES));
    match can.is_some_and(Value::is_object) {
        true => Ok(said),
        false => {
            let why = format!("Invalid params: _meta must have {}", meta::CAPABILITIES);
            Err(refuse(&RpcError::params(why)))
        }
    }
}

/// Header fields that say what the body says too.
fn headers_agree(request: &Request) -> Result<(), String> {
    let said = |name: &str| -> Result<String, String> {
        let value = request.headers.get(name);
        let value = value.ok_or_else(|| format!("{name} is missing"))?;
        let text = value
            .to_str()
            .map_err(|_| format!("{name} has invalid characters"))?;
        header::decode(text).ok_or_else(|| format!("{name} is not Base64"))
    };
    let compare = |name: &str, own: &str| match said(name)? {
        same if same == own => Ok(()),
        other => Err(format!("{name} says {other:?}, the body {own:?}")),
    };
    // The method is never encoded, but no method looks as if it were.
    compare(name::METHOD, &request.method)?;
    match header::subject(&request.method, &request.params) {
        Some(Some(subject)) => compare(name::NAME, subject),
        // What is missing in the body is said by the method itself.
        Some(None) | None => Ok(()),
    }
}
