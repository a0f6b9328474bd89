//! One attempt at a call to outside: a model or an HTTP request, with its time limit.

mod body;
mod code;
mod hop;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use http::{HeaderMap, header};
use nodeai_engine::{
    AttemptResult, CallMeta, Effect, HttpCall, HttpReply, LlmCall, LogLine, Model, Next, NodeError,
    NodeOutcome, Paged, Redactor, Run, Shortcut,
};
use nodeai_llm::{ChatRequest, ChatResponse, Delta, Endpoint, echo};
use serde_json::Value;
use url::Url;

use self::body::{read, read_start, too_large};
use self::hop::Hop;
use crate::secrets::{self, Held};
use crate::{
    Body, CachePort, Clock, Closed, Entropy, HttpPort, Live, Ports, Secret, SecretError,
    SecretPort, Sink, TransportError, UrlGuard,
};

const MOST_REDIRECTS: usize = 5;
/// Most bytes of a model's answer that are read.
const MOST_LLM_BYTES: u64 = 16 * 1024 * 1024;
/// Most bytes of a failure's body that are read.
const MOST_ERROR_BYTES: u64 = 64 * 1024;

/// What attempts share.
pub(crate) struct Shared<'a, H, C, E, S, L, K> {
    pub(crate) ports: &'a Ports<'a, H, C, E, S, L, K>,
    pub(crate) guard: &'a UrlGuard,
    pub(crate) redactor: RefCell<Redactor>,
    /// Set when the listener has gone.
    pub(crate) closed: Cell<bool>,
}

/// Which attempt.
pub(crate) struct Which {
    pub(crate) node: String,
    pub(crate) attempt: u32,
    pub(crate) timeout_ms: u64,
    /// The secrets that its node has opened.
    pub(crate) held: Rc<Held>,
    /// The same for every attempt at the same call.
    pub(crate) idempotency_key: String,
    /// How many calls this attempt has made.
    pub(crate) calls: Cell<u32>,
    /// Where its result is kept, and for how many ms.
    pub(crate) cache: Option<(String, u64)>,
}

impl Which {
    /// The key of the attempt's next call: of the first it is the attempt's own.
    fn next_key(&self, request: &[&[u8]]) -> String {
        let at = self.calls.replace(self.calls.get() + 1);
        match at {
            0 => self.idempotency_key.clone(),
            at => Run::further_key(&self.idempotency_key, at, request),
        }
    }
}

type Ended = (CallMeta, Result<NodeOutcome, NodeError>);

impl<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Shared<'_, H, C, E, S, L, K>
{
    /// Performs an effect within its time limit. The result has no secrets in it.
    pub(crate) async fn perform(&self, which: &Which, effect: Effect) -> (CallMeta, AttemptResult) {
        let known = match &effect {
            Effect::Llm(call) => call.meta(),
            Effect::Http(call) => call.meta(),
            _ => CallMeta::default(),
        };
        let limit = pin!(
            self.ports
                .clock
                .sleep(which.timeout_ms.saturating_mul(1_000))
        );
        let work = pin!(self.work(which, effect));
        let (call, result) = match select(work, limit).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => (known, Err(NodeError::timeout(which.timeout_ms))),
        };
        (self.blank_call(call), self.blank_result(result))
    }

    /// The result of an earlier call with the same input, else the call's own, which is kept.
    async fn work(&self, which: &Which, effect: Effect) -> Ended {
        let Some((key, ttl_ms)) = &which.cache else {
            return self.call(which, effect).await;
        };
        if let Some(kept) = self.ports.cache.get(key).await {
            let meta = CallMeta {
                shortcut: Some(Shortcut::Cache),
                ..CallMeta::default()
            };
            return (meta, Ok(kept));
        }
        let (meta, result) = self.call(which, effect).await;
        if let Ok(outcome) = &result {
            // What is kept has no secrets in it, as what the log keeps.
            let kept = NodeOutcome {
                output: self.redactor.borrow().value(outcome.output.clone()),
                handle: outcome.handle.clone(),
            };
            self.ports.cache.put(key, *ttl_ms, &kept).await;
        }
        (meta, result)
    }

    async fn call(&self, which: &Which, effect: Effect) -> Ended {
        match effect {
            Effect::Llm(call) => self.ask(which, &call).await,
            Effect::Http(call) => self.request(which, *call).await,
            Effect::Code(call) => self.run_code(which, &call).await,
            // The driver answers the others itself.
            _ => {
                let error = NodeError::new("internal", "not a call", false);
                (CallMeta::default(), Err(error))
            }
        }
    }

    pub(crate) fn blank_result(&self, result: Result<NodeOutcome, NodeError>) -> AttemptResult {
        let redactor = self.redactor.borrow();
        match result {
            Ok(outcome) => AttemptResult::Ok {
                output: redactor.value(outcome.output),
                handle: outcome.handle,
            },
            Err(error) => AttemptResult::Error {
                error: NodeError {
                    message: redactor.text(&error.message),
                    ..error
                },
            },
        }
    }

    fn blank_call(&self, call: CallMeta) -> CallMeta {
        let redactor = self.redactor.borrow();
        let blanked = |line: LogLine| LogLine {
            text: redactor.text(&line.text),
            ..line
        };
        CallMeta {
            url: call.url.map(|url| redactor.text(&url)),
            request_model: call.request_model.map(|model| redactor.text(&model)),
            response_model: call.response_model.map(|model| redactor.text(&model)),
            logs: call.logs.into_iter().map(blanked).collect(),
            ..call
        }
    }

    /// Asks a model, again and again while the engine says so: to mend an answer, to hand it what its tools gave, or to ask
    /// another model instead.
    async fn ask(&self, which: &Which, call: &LlmCall) -> Ended {
        let begun_us = self.ports.clock.now_us();
        let first_token_us = Cell::new(None);
        let mut talk = call.talk();
        let (meta, result) = loop {
            let model = call.model(&talk);
            let answer = match model.endpoint.builtin_answer(&talk.chat) {
                Some(answer) => match which.held.check_unsent() {
                    Ok(()) => self.recite(which, answer).await,
                    Err(refused) => Err(refused),
                },
                None => {
                    self.converse(which, model, &talk.chat, &first_token_us)
                        .await
                }
            };
            match answer {
                Err(error) if call.fall_back(&mut talk, &error) => {}
                Err(error) => break call.failed(&talk, error),
                Ok(answer) => match call.follow(&mut talk, answer) {
                    Next::Ask => {}
                    Next::Done(meta, result) => break (meta, result),
                    Next::Tools(tools) => {
                        let mut results = Vec::with_capacity(tools.len());
                        for (tool, effect) in tools {
                            results.push((tool, self.use_tool(which, effect).await));
                        }
                        call.results(&mut talk, results);
                    }
                },
            }
        };
        let first_token_us = first_token_us.get().map(|us: i64| us - begun_us);
        (
            CallMeta {
                first_token_us,
                ..meta
            },
            result,
        )
    }

    /// Does what a tool's node wants. What it gives goes to a provider: it is blanked like a result.
    async fn use_tool(
        &self,
        which: &Which,
        effect: Result<Effect, NodeError>,
    ) -> Result<Value, NodeError> {
        let outcome = match effect? {
            Effect::Done(outcome) => {
                which.held.check_unsent()?;
                outcome
            }
            Effect::Http(call) => self.request(which, *call).await.1?,
            Effect::Code(call) => {
                which.held.check_unsent()?;
                self.run_code(which, &call).await.1?
            }
            _ => {
                let message = "a tool gives a value, runs code or sends one request";
                return Err(NodeError::new("tool", message, false));
            }
        };
        Ok(self.redactor.borrow().value(outcome.output))
    }

    /// Sends a request and those for its further pages.
    async fn request(&self, which: &Which, mut call: HttpCall) -> Ended {
        loop {
            let reply = match self.fetch(which, &call).await {
                Ok(reply) => reply,
                Err(error) => return (call.meta(), Err(error)),
            };
            let interval_ms = call.interval_ms();
            match call.next_page(reply) {
                Paged::Done(meta, result) => return (meta, result),
                Paged::Next(next) => {
                    self.ports
                        .clock
                        .sleep(interval_ms.saturating_mul(1_000))
                        .await;
                    call = *next;
                }
            }
        }
    }

    /// The test model streams word by word.
    async fn recite(&self, which: &Which, answer: ChatResponse) -> Result<ChatResponse, NodeError> {
        if self.ports.sink.wants_events() {
            for piece in echo::pieces(&answer.text) {
                self.tell_token(which, piece).await?;
            }
        }
        Ok(answer)
    }

    async fn converse(
        &self,
        which: &Which,
        model: &Model,
        chat: &ChatRequest,
        first_token_us: &Cell<Option<i64>>,
    ) -> Result<ChatResponse, NodeError> {
        let endpoint = &model.endpoint;
        let key = self.key_of(which, model).await?;
        let stream = self.ports.sink.wants_events();
        let mut request = endpoint.request(chat, key.as_deref(), stream)?;
        let uri = request.uri().to_string();
        let parts = [uri.as_bytes(), request.body().as_ref()];
        let key = which.next_key(&parts);
        add_key(request.headers_mut(), &key);
        self.check(which, &request.uri().to_string())?;
        let response = self
            .ports
            .http
            .send(request, which.timeout_ms)
            .await
            .map_err(transport)?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let body = read_start(body, MOST_ERROR_BYTES).await;
            return Err(endpoint.classify(head.status, &head.headers, &body).into());
        }
        let kind = head
            .headers
            .get(header::CONTENT_TYPE)
            .map(http::HeaderValue::as_bytes);
        // Some servers that copy OpenAI's do not stream, whatever they are asked.
        let streams = kind.is_none_or(|kind| !kind.starts_with(b"application/json"));
        if stream && streams {
            self.listen(which, endpoint, body, first_token_us).await
        } else {
            Ok(endpoint.parse(&read(body, MOST_LLM_BYTES).await?)?)
        }
    }

    async fn listen(
        &self,
        which: &Which,
        endpoint: &Endpoint,
        mut body: Body,
        first_token_us: &Cell<Option<i64>>,
    ) -> Result<ChatResponse, NodeError> {
        let mut decoder = endpoint.decoder();
        let mut size = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(transport)?;
            size += chunk.len() as u64;
            if size > MOST_LLM_BYTES {
                return Err(too_large(MOST_LLM_BYTES));
            }
            for delta in decoder.push(&chunk)? {
                if let Delta::Text(text) = delta {
                    if first_token_us.get().is_none() {
                        first_token_us.set(Some(self.ports.clock.now_us()));
                    }
                    self.tell_token(which, &text).await?;
                }
            }
        }
        Ok(decoder.finish()?)
    }

    async fn tell_token(&self, which: &Which, text: &str) -> Result<(), NodeError> {
        let text = self.redactor.borrow().text(text);
        let (node_id, attempt) = (which.node.clone(), which.attempt);
        let told = self
            .ports
            .sink
            .send(
                None,
                Live::Token {
                    node_id,
                    attempt,
                    text,
                },
            )
            .await;
        told.map_err(|Closed| {
            self.closed.set(true);
            NodeError::new("cancelled", "the listener has gone", false)
        })
    }

    /// The node's own key, else the provider's secret.
    async fn key_of(&self, which: &Which, model: &Model) -> Result<Option<String>, NodeError> {
        let (None, Some(name)) = (&model.api_key, model.endpoint.key_secret) else {
            return Ok(model.api_key.clone());
        };
        let found = self
            .ports
            .secrets
            .open(&which.node, &[name.to_owned()])
            .await;
        let mut found = found.map_err(unreadable)?;
        let key = found.remove(name).ok_or_else(|| {
            let message = format!("no API key: store the secret {name} or set api_key on the node");
            NodeError::new("secret_missing", message, false)
        })?;
        self.redactor.borrow_mut().add(&key.value);
        let url = Url::parse(&model.endpoint.base_url).ok();
        match url.is_some_and(|url| key.may_go_to(&url)) {
            true => Ok(Some(key.value)),
            false => Err(secrets::refused(name, "is not for this provider's host")),
        }
    }

    fn check(&self, which: &Which, url: &str) -> Result<(), NodeError> {
        let url =
            Url::parse(url).map_err(|error| NodeError::config(format!("bad URL: {error}")))?;
        self.check_url(which, &url)
    }

    fn check_url(&self, which: &Which, url: &Url) -> Result<(), NodeError> {
        let refused = self.guard.check(url);
        refused.map_err(|refused| NodeError::new("url_refused", refused.to_string(), false))?;
        which.held.check(url)
    }

    /// Sends the request. A connection's token that the server does not take (401) may have been revoked before its
    /// time: it is refreshed once, and the request, which the server has not taken either, sent again.
    async fn fetch(&self, which: &Which, call: &HttpCall) -> Result<HttpReply, NodeError> {
        let parts = [call.method.as_str(), call.url.as_str()].map(str::as_bytes);
        let key = which.next_key(&[parts[0], parts[1], &call.body]);
        let Some(connection) = &call.connection else {
            return self.follow(which, call, &key, None).await;
        };
        let token = self.token_of(which, connection, None).await?;
        let reply = self.follow(which, call, &key, Some(&token)).await?;
        if reply.status != 401 {
            return Ok(reply);
        }
        match self.token_of(which, connection, Some(&token.value)).await {
            Ok(fresh) => self.follow(which, call, &key, Some(&fresh)).await,
            Err(_) => Ok(reply),
        }
    }

    async fn token_of(
        &self,
        which: &Which,
        connection: &str,
        refused: Option<&str>,
    ) -> Result<Secret, NodeError> {
        let secrets = self.ports.secrets;
        let token = secrets.access_token(&which.node, connection, refused).await;
        let token = token.map_err(|error| {
            NodeError::new("connection_unusable", error.message, error.retryable)
        })?;
        self.redactor.borrow_mut().add(&token.value);
        Ok(token)
    }

    async fn follow(
        &self,
        which: &Which,
        call: &HttpCall,
        key: &str,
        token: Option<&Secret>,
    ) -> Result<HttpReply, NodeError> {
        let mut headers = call.headers.clone();
        add_key(&mut headers, key);
        let mut hop = Hop {
            method: call.method.clone(),
            url: call.url.clone(),
            headers,
            body: Bytes::from(call.body.clone()),
        };
        if let Some(token) = token {
            hop.authorize(token)?;
        }
        for _ in 0..=MOST_REDIRECTS {
            self.check_url(which, &hop.url)?;
            let sent = self.ports.http.send(hop.request()?, which.timeout_ms).await;
            let (head, body) = sent.map_err(transport)?.into_parts();
            match hop.follow(head.status, &head.headers)? {
                Some(next) => hop = next,
                None => {
                    let body = read(body, call.max_response_bytes).await?;
                    let status = head.status.as_u16();
                    return Ok(HttpReply {
                        status,
                        headers: head.headers,
                        body,
                    });
                }
            }
        }
        let message = format!("more than {MOST_REDIRECTS} redirects");
        Err(NodeError::new("too_many_redirects", message, false))
    }
}

/// Lets the other side notice that a call is made again (the draft "The Idempotency-Key HTTP
/// Header Field"); a key that the node itself gives stays.
fn add_key(headers: &mut HeaderMap, key: &str) {
    if let Ok(key) = http::HeaderValue::from_str(key)
        && !key.is_empty()
    {
        headers.entry("idempotency-key").or_insert(key);
    }
}

/// The vault's failure as the node's.
pub(crate) fn unreadable(error: SecretError) -> NodeError {
    NodeError::new("secrets_unavailable", error.to_string(), error.retryable)
}

fn transport(error: TransportError) -> NodeError {
    NodeError::new("connection", error.message, error.retryable)
}
