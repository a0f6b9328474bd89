//! One request and its answer: plain JSON, or a stream of events in which it is somewhere.

use super::{Client, Fault, Incoming, Transport};
use crate::header::{self, name};
use crate::meta;
use crate::rpc::{self, Message, RpcError};
use crate::version::{self, Era};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header as field};
use nodeai_sse::SseDecoder;
use serde_json::{Map, Value, json};

impl<T: Transport> Client<'_, T> {
    /// Sends a request of a revision and waits for its answer; `more` are further header fields.
    pub(super) async fn ask(
        &self,
        version: &str,
        method: &str,
        mut params: Map<String, Value>,
        more: &[(String, String)],
    ) -> Result<Value, Fault> {
        let id = self.next_id();
        let modern = version::era(version) == Some(Era::Modern);
        if modern {
            self.say_who(version, &mut params);
        }
        let mut fields = self.fields(Some(version).filter(|_| method != "initialize"));
        if modern {
            put(&mut fields, name::METHOD, method);
            if let Some(Some(subject)) = header::subject(method, &params) {
                put(&mut fields, name::NAME, &header::encode(subject));
            }
        }
        for (name, value) in more {
            put(&mut fields, name, value);
        }
        let message = rpc::request(&id, method, params);
        let incoming = self.post(fields, &message).await?;
        self.remember(method, &incoming);
        self.read(incoming, &id, modern).await
    }

    /// Tells the server something that it does not answer.
    pub(super) async fn tell(&self, version: &str, message: &Value) -> Result<(), Fault> {
        let incoming = self.post(self.fields(Some(version)), message).await?;
        match incoming.status {
            200..=299 => Ok(()),
            _ => Err(self.refused(incoming).await),
        }
    }

    fn say_who(&self, version: &str, params: &mut Map<String, Value>) {
        let own = params.entry("_meta").or_insert(json!({}));
        if let Some(own) = own.as_object_mut() {
            own.insert(meta::VERSION.to_owned(), json!(version));
            own.insert(meta::CLIENT_INFO.to_owned(), self.info.clone());
            own.insert(meta::CAPABILITIES.to_owned(), self.capabilities.clone());
        }
    }

    fn fields(&self, version: Option<&str>) -> HeaderMap {
        let mut fields = HeaderMap::new();
        put(&mut fields, "content-type", "application/json");
        put(&mut fields, "accept", "application/json, text/event-stream");
        if let Some(version) = version {
            put(&mut fields, name::VERSION, version);
        }
        let session = self.spoken().and_then(|spoken| spoken.session);
        if let Some(session) = session {
            put(&mut fields, name::SESSION, &session);
        }
        fields
    }

    async fn post(&self, fields: HeaderMap, message: &Value) -> Result<Incoming, Fault> {
        let request = Request::builder().method(Method::POST).uri(&self.url);
        let body = Bytes::from(message.to_string());
        let request = request.body(body).map(|mut request| {
            *request.headers_mut() = fields;
            request
        });
        let request = request.map_err(|error| Fault::Protocol(error.to_string()))?;
        self.transport.send(request).await
    }

    /// The session that a server opens with its answer to the handshake.
    fn remember(&self, method: &str, incoming: &Incoming) {
        let session = incoming.headers.get(name::SESSION);
        let session = session.and_then(|value| value.to_str().ok());
        if method == "initialize"
            && let Some(spoken) = self.spoken.borrow_mut().as_mut()
        {
            spoken.session = session.map(str::to_owned);
        }
    }

    async fn read(&self, incoming: Incoming, id: &Value, modern: bool) -> Result<Value, Fault> {
        if !(200..=299).contains(&incoming.status) {
            return Err(self.refused(incoming).await);
        }
        let media = media_of(&incoming.headers);
        match media.as_str() {
            "text/event-stream" => self.read_events(incoming, id, modern).await,
            "application/json" => {
                let body = self.collect(incoming).await?;
                let value = serde_json::from_slice(&body).map_err(|_| odd("it is not JSON"))?;
                let found = match value {
                    // An answer to one message that came in a list is one all the same.
                    Value::Array(all) => all.into_iter().find_map(|m| answer_of(m, id)),
                    message => answer_of(message, id),
                };
                found.unwrap_or_else(|| Err(odd("it answers another request")))
            }
            other => Err(odd(&format!("it is {other:?}"))),
        }
    }

    async fn read_events(
        &self,
        mut incoming: Incoming,
        id: &Value,
        modern: bool,
    ) -> Result<Value, Fault> {
        let mut decoder = SseDecoder::new();
        let mut seen = 0;
        while let Some(chunk) = incoming.body.next().await {
            let chunk = chunk?;
            seen += chunk.len();
            if seen > self.most {
                return Err(Fault::TooLarge(self.most));
            }
            let events = decoder
                .push(&chunk)
                .map_err(|error| odd(&error.to_string()))?;
            for event in events {
                let message = serde_json::from_str(&event.data).unwrap_or_default();
                match rpc::read(message) {
                    Ok(Message::Response { id: of, result }) if of.as_ref() == Some(id) => {
                        return result.map_err(Fault::Rpc);
                    }
                    Ok(Message::Request { id, method, .. }) if !modern => {
                        self.decline(&id, &method).await?;
                    }
                    // Progress, log messages, and the empty event that begins a stream.
                    _ => {}
                }
            }
        }
        Err(odd("the stream ended before the answer"))
    }

    /// Answers what a server asks in the middle of its answer, until 2025-11-25: it is told that this client cannot do that.
    async fn decline(&self, id: &Value, method: &str) -> Result<(), Fault> {
        let result = match method {
            "ping" => Ok(json!({})),
            _ => Err(RpcError::method_not_found(method)),
        };
        let version = self.spoken().map(|spoken| spoken.version);
        let version = version.unwrap_or_else(|| version::LEGACY[0].to_owned());
        self.tell(&version, &rpc::answer(id, result)).await
    }

    async fn collect(&self, mut incoming: Incoming) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        while let Some(chunk) = incoming.body.next().await {
            all.extend_from_slice(&chunk?);
            if all.len() > self.most {
                return Err(Fault::TooLarge(self.most));
            }
        }
        Ok(all)
    }

    async fn refused(&self, incoming: Incoming) -> Fault {
        let status = incoming.status;
        let challenge = incoming.headers.get(field::WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|v| v.to_str().ok()).map(str::to_owned);
        if status == 401 || (status == 403 && challenge.is_some()) {
            return Fault::Unauthorized { status, challenge };
        }
        let body = self.collect(incoming).await.unwrap_or_default();
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let error = message.get("error").cloned();
        Fault::Http {
            status,
            error: error.and_then(|error| serde_json::from_value(error).ok()),
        }
    }
}

fn odd(why: &str) -> Fault {
    Fault::Protocol(why.to_owned())
}

fn media_of(headers: &HeaderMap) -> String {
    let value = headers.get(field::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = value.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

fn answer_of(message: Value, id: &Value) -> Option<Result<Value, Fault>> {
    match rpc::read(message) {
        Ok(Message::Response { id: of, result }) if of.as_ref() == Some(id) || of.is_none() => {
            Some(result.map_err(Fault::Rpc))
        }
        _ => None,
    }
}

/// A value that cannot stand in a header field was encoded before, or is none of ours.
fn put(fields: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        fields.insert(name, value);
    }
}
