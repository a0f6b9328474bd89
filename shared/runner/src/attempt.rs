//! One attempt at a call to outside: a model or an HTTP request, with its time limit.

mod area;
mod body;
mod code;
mod hop;
mod measure;
mod model;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, join_all, select};
use http::HeaderMap;
use nodeai_engine::{
    AttemptResult, CallMeta, Compiled, Effect, HttpBatch, HttpCall, HttpReply, Keep, LogLine,
    NodeError, NodeOutcome, Paged, Redactor, Run, Shortcut, Spend, SqlCall, Turn,
};
use serde_json::Value;
use url::Url;

use self::body::{read, read_start, too_large};
use self::hop::Hop;
use crate::budget::{Bill, Meter};
use crate::secrets::Held;
use crate::{
    CachePort, Clock, Entropy, HttpPort, Ports, Refused, Secret, SecretError, SecretPort, Sink,
    TransportError, UrlGuard,
};

const MOST_REDIRECTS: usize = 5;

/// What attempts share.
pub(crate) struct Shared<'a, H, C, E, S, L, K> {
    pub(crate) ports: &'a Ports<'a, H, C, E, S, L, K>,
    pub(crate) guard: &'a UrlGuard,
    /// Who acts.
    pub(crate) user_id: Option<&'a str>,
    /// What runs.
    pub(crate) plan: Arc<Compiled>,
    /// The run's own limit.
    pub(crate) meter: Meter,
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
    /// Its span, for who continues the trace (W3C Trace Context).
    pub(crate) traceparent: String,
    /// How many calls this attempt has made.
    pub(crate) calls: Cell<u32>,
    /// What its calls have cost.
    pub(crate) bill: Rc<Bill>,
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
            Effect::Measure(call) => call.meta(),
            Effect::Http(call) => call.meta(),
            Effect::HttpBatch(batch) => batch.meta(),
            Effect::Sql(call) => call.meta(),
            _ => CallMeta::default(),
        };
        let limit = pin!(
            self.ports
                .clock
                .sleep(which.timeout_ms.saturating_mul(1_000))
        );
        let work = Box::pin(self.work(which, effect));
        let (mut call, result, unsettled) = match select(work, limit).await {
            Either::Left(((call, result), _)) => (call, result, which.bill.untold()),
            Either::Right((_, work)) => {
                // What it has reserved goes on its bill.
                drop(work);
                let late = NodeError::timeout(which.timeout_ms);
                (known, Err(late), which.bill.all())
            }
        };
        call.unsettled = Some(unsettled).filter(|spend| *spend != Spend::default());
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
            Effect::Measure(call) => self.measure(which, &call).await,
            Effect::Http(call) => self.request(which, *call).await,
            Effect::HttpBatch(batch) => self.request_each(which, &batch).await,
            Effect::Sql(call) => (call.meta(), self.run_sql(which, &call).await),
            Effect::Code(call) => self.run_code(which, &call).await,
            Effect::Area(call) => self.ask_area(which, &call).await,
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

    pub(crate) fn blank_turn(&self, turn: Turn) -> Turn {
        let redactor = self.redactor.borrow();
        Turn {
            user: redactor.text(&turn.user),
            assistant: redactor.text(&turn.assistant),
        }
    }

    /// What is kept of a conversation has no secrets in it.
    pub(crate) fn blank_keep(&self, keep: Keep) -> Keep {
        Keep {
            user: self.redactor.borrow().text(&keep.user),
            ..keep
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

    /// Does what a tool's node wants. What it gives goes to a provider: it is blanked like a result.
    pub(crate) async fn use_tool(
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
            Effect::Sql(call) => self.run_sql(which, &call).await?,
            Effect::Code(call) => {
                which.held.check_unsent()?;
                self.run_code(which, &call).await.1?
            }
            Effect::Area(call) => {
                which.held.check_unsent()?;
                self.ask_area(which, &call).await.1?
            }
            _ => {
                let message = "a tool gives a value, runs code, asks a database or an area, or sends one request";
                return Err(NodeError::new("tool", message, false));
            }
        };
        Ok(self.redactor.borrow().value(outcome.output))
    }

    /// Sends a request and those for its further pages.
    async fn request(&self, which: &Which, mut call: HttpCall) -> Ended {
        if let Err(error) = self.attach(which, &mut call).await {
            return (call.meta(), Err(error));
        }
        loop {
            let reply = match self.fetch(which, &call).await {
                Ok(reply) => self.keep(which, &call, reply).await,
                Err(error) => Err(error),
            };
            let reply = match reply {
                Ok(reply) => reply,
                Err(error) => return (call.meta(), Err(error)),
            };
            let interval_ms = call.interval_ms();
            match call.next_page(reply) {
                Paged::Done(meta, result) => return (meta, result),
                Paged::Next(next) => {
                    self.ports
                        .clock
                        .pause(interval_ms.saturating_mul(1_000))
                        .await;
                    call = *next;
                }
            }
        }
    }

    /// Sends one request for each item, some at a time.
    async fn request_each(&self, which: &Which, batch: &HttpBatch) -> Ended {
        let (mut items, mut bytes) = (Vec::new(), 0);
        for (at, calls) in batch.chunks().enumerate() {
            if at > 0 {
                let us = batch.interval_ms().saturating_mul(1_000);
                self.ports.clock.pause(us).await;
            }
            // Each takes its key when it is looked at first, which is in their order.
            let requests = calls.iter().map(|call| self.request(which, call.clone()));
            for (meta, result) in join_all(requests).await {
                let failed = batch.ends_with(&result);
                let taken = batch.take(&mut items, &mut bytes, result);
                if let Some(error) = failed.or(taken.err()) {
                    return (meta, Err(error));
                }
            }
        }
        (batch.meta(), Ok(batch.finish(items)))
    }

    async fn run_sql(&self, which: &Which, call: &SqlCall) -> Result<NodeOutcome, NodeError> {
        self.guard.check_listed(&call.place).map_err(not_allowed)?;
        self.plan.check_egress(&which.node, &call.place)?;
        which.held.check(&call.place)?;
        let answer = self.ports.databases.run(call).await?;
        call.finish(answer.as_deref())
    }

    pub(crate) fn check_url(&self, which: &Which, url: &Url) -> Result<(), NodeError> {
        let refused = self.guard.check(url);
        refused.map_err(not_allowed)?;
        self.plan.check_egress(&which.node, url)?;
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

/// The guard's refusal as the node's error.
fn not_allowed(refused: Refused) -> NodeError {
    let kind = match refused {
        Refused::Unlisted(_) => "egress_refused",
        _ => "url_refused",
    };
    NodeError::new(kind, refused.to_string(), false)
}

/// The vault's failure as the node's.
pub(crate) fn unreadable(error: SecretError) -> NodeError {
    NodeError::new("secrets_unavailable", error.to_string(), error.retryable)
}

fn transport(error: TransportError) -> NodeError {
    NodeError::new("connection", error.message, error.retryable)
}
