//! Asking a model: one question after the other, each within what the run may spend.

use std::cell::Cell;

use bytes::Bytes;
use futures::StreamExt;
use http::header;
use nodeai_engine::{CallMeta, Effect, LlmCall, Model, Next, NodeError, Spend};
use nodeai_llm::{ChatRequest, ChatResponse, Delta, Endpoint, Prices, Usage, bound, echo};
use url::Url;

use super::{Ended, Shared, Which, add_key, read, read_start, too_large, transport, unreadable};
use crate::budget::{Hold, Room, exceeded};
use crate::{
    Amount, Body, CachePort, Clock, Closed, Entropy, Granted, HttpPort, Live, Reservation,
    SecretPort, Sink, secrets,
};

/// Most bytes of a model's answer that are read.
pub(super) const MOST_LLM_BYTES: u64 = 16 * 1024 * 1024;
/// Most bytes of a failure's body that are read.
const MOST_ERROR_BYTES: u64 = 64 * 1024;
/// How long a call waits for what other calls hold of a budget, and how long between two looks at most.
const MOST_WAIT_US: i64 = 10_000_000;
const MOST_PAUSE_US: u64 = 2_000_000;
/// How long a reservation outlasts its attempt, in ms: its settlement may be late.
const GRACE_MS: u64 = 60_000;

/// A question without a (whole) answer.
pub(super) struct Unanswered {
    error: NodeError,
    /// Whether it may have been paid for all the same.
    paid: bool,
}

impl Unanswered {
    pub(super) fn free(error: impl Into<NodeError>) -> Self {
        Self {
            error: error.into(),
            paid: false,
        }
    }

    pub(super) fn paid(error: impl Into<NodeError>) -> Self {
        Self {
            error: error.into(),
            paid: true,
        }
    }

    pub(super) fn into_error(self) -> NodeError {
        self.error
    }
}

/// What one question may cost, reserved.
struct Paid<'m> {
    hold: Hold<'m>,
    /// The name under which shared budgets know it.
    ticket: Option<String>,
}

impl<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Shared<'_, H, C, E, S, L, K>
{
    /// Asks a model, again and again while the engine says so: to mend an answer, to hand it what its tools gave, or to ask
    /// another model instead.
    pub(super) async fn ask(&self, which: &Which, call: &LlmCall) -> Ended {
        let begun_us = self.ports.clock.now_us();
        let first_token_us = Cell::new(None);
        let mut talk = call.talk(begun_us, self.ports.budget.prices());
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

    /// The test model streams word by word. Its tokens cost nothing, but they count.
    async fn recite(&self, which: &Which, answer: ChatResponse) -> Result<ChatResponse, NodeError> {
        self.count(which, &answer.model, answer.usage).await?;
        if self.ports.sink.wants_events() {
            for piece in echo::pieces(&answer.text) {
                self.tell_token(which, piece).await?;
            }
        }
        Ok(answer)
    }

    /// One question and its answer. What it may cost is reserved after everything that could refuse it, and settled before
    /// anything is made of the answer.
    async fn converse(
        &self,
        which: &Which,
        model: &Model,
        chat: &ChatRequest,
        first_token_us: &Cell<Option<i64>>,
    ) -> Result<ChatResponse, NodeError> {
        let endpoint = &model.endpoint;
        let reference = endpoint.reference();
        let key = self.key_of(which, model).await?;
        let metered = self.metered().await?;
        let bounded = metered.then(|| bound::bounded(chat, &reference));
        let chat = bounded.as_ref().unwrap_or(chat);
        let stream = self.ports.sink.wants_events();
        let mut request = endpoint.request(chat, key.as_deref(), stream)?;
        let uri = request.uri().to_string();
        let key = which.next_key(&[uri.as_bytes(), request.body().as_ref()]);
        add_key(request.headers_mut(), &key);
        self.check(which, &uri)?;
        let most = bound::most_usage(chat, request.body().len());
        let answer = self.exchange(which, endpoint, request, first_token_us);
        let Some(bounded) = metered.then_some(most) else {
            return answer.await.map_err(Unanswered::into_error);
        };
        self.pay(which, &reference, bounded, |answer| answer.usage, answer)
            .await
    }

    /// What an attempt's first call to a model may cost, where the run has a limit: all parts of what gives numbers. None
    /// for what calls none, or cannot be asked.
    pub(crate) fn most_of(&self, effect: &Effect) -> Option<Spend> {
        if !self.meter.limits() {
            return None;
        }
        let prices = self.ports.budget.prices();
        let (reference, most) = match effect {
            Effect::Llm(call) => {
                let talk = call.talk(0, prices.clone());
                let endpoint = &call.model(&talk).endpoint;
                if endpoint.builtin_answer(&talk.chat).is_some() {
                    return None;
                }
                let chat = bound::bounded(&talk.chat, &endpoint.reference());
                let stream = self.ports.sink.wants_events();
                let request = endpoint.request(&chat, None, stream).ok()?;
                let most = bound::most_usage(&chat, request.body().len());
                (endpoint.reference(), most)
            }
            Effect::Measure(call) => {
                let endpoint = &call.model()?.endpoint;
                let mut most = Usage::default();
                for work in call.batches() {
                    let request = endpoint.measure_request(work, None).ok()?;
                    let part = work.most_usage(request.body().len());
                    most.prompt_tokens = most.prompt_tokens.saturating_add(part.prompt_tokens);
                }
                (call.reference(), most)
            }
            _ => return None,
        };
        let most = Amount {
            pusd: prices.most_cost(&reference, &most),
            ..amount(&prices, &reference, most, 0)
        };
        Some(most.spend())
    }

    /// Counts tokens of a test model: they cost nothing.
    pub(super) async fn count(
        &self,
        which: &Which,
        reference: &str,
        usage: Option<Usage>,
    ) -> Result<(), NodeError> {
        if self.metered().await? {
            let now_us = self.ports.clock.now_us();
            let prices = self.ports.budget.prices();
            let used = usage.map(|usage| amount(&prices, reference, usage, now_us));
            let paid = self.reserve(which, used.unwrap_or_default()).await?;
            self.settle(paid, used).await;
        }
        Ok(())
    }

    /// Makes a call that is paid for: all that it may cost is reserved before, and what it did cost is settled after it.
    pub(super) async fn pay<T>(
        &self,
        which: &Which,
        reference: &str,
        most: Usage,
        used: fn(&T) -> Option<Usage>,
        call: impl Future<Output = Result<T, Unanswered>>,
    ) -> Result<T, NodeError> {
        let prices = self.ports.budget.prices();
        let at_most = Amount {
            pusd: prices.most_cost(reference, &most),
            ..amount(&prices, reference, most, 0)
        };
        let paid = self.reserve(which, at_most).await?;
        let now_us = self.ports.clock.now_us();
        paid.hold.begin();
        let answer = call.await;
        // Without the provider's own count, all that was reserved counts.
        let cost = match &answer {
            Ok(answer) => used(answer).map(|usage| amount(&prices, reference, usage, now_us)),
            Err(failed) => (!failed.paid).then(|| Amount {
                tokens: 0,
                pusd: Some(0),
            }),
        };
        self.settle(paid, cost).await;
        answer.map_err(Unanswered::into_error)
    }

    /// Sends a request to a provider. A status that is no success is not paid for; a connection that breaks once the
    /// request is out may be.
    pub(super) async fn send_to(
        &self,
        which: &Which,
        endpoint: &Endpoint,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, Unanswered> {
        let response = self.ports.http.send(request, which.timeout_ms).await;
        let response = response.map_err(|error| Unanswered {
            paid: error.sent,
            error: transport(error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let body = read_start(body, MOST_ERROR_BYTES).await;
        let error = endpoint.classify(head.status, &head.headers, &body);
        Err(Unanswered::free(error))
    }

    /// Sends the question and reads the answer.
    async fn exchange(
        &self,
        which: &Which,
        endpoint: &Endpoint,
        request: http::Request<Bytes>,
        first_token_us: &Cell<Option<i64>>,
    ) -> Result<ChatResponse, Unanswered> {
        let response = self.send_to(which, endpoint, request).await?;
        let (head, body) = response.into_parts();
        let kind = head
            .headers
            .get(header::CONTENT_TYPE)
            .map(http::HeaderValue::as_bytes);
        // Some servers that copy OpenAI's do not stream, whatever they are asked.
        let streams = kind.is_none_or(|kind| !kind.starts_with(b"application/json"));
        if self.ports.sink.wants_events() && streams {
            let answer = self.listen(which, endpoint, body, first_token_us).await;
            answer.map_err(Unanswered::paid)
        } else {
            let whole = read(body, MOST_LLM_BYTES).await;
            let answer = endpoint.parse(&whole.map_err(Unanswered::paid)?);
            answer.map_err(Unanswered::paid)
        }
    }

    /// Whether anything limits what the run may spend.
    pub(super) async fn metered(&self) -> Result<bool, NodeError> {
        Ok(self.meter.limits() || self.ports.budget.apply().await?)
    }

    /// Reserves what a question may cost, in the run's own limit and in the budgets that it shares. Waits a while for what
    /// other calls hold: they mostly cost less than they may.
    async fn reserve(&self, which: &Which, most: Amount) -> Result<Paid<'_>, NodeError> {
        let until_us = self.ports.clock.now_us() + MOST_WAIT_US;
        let mut pause_us = 50_000;
        loop {
            let busy = match self.meter.take(most) {
                Room::None(error) => return Err(error),
                Room::Held => "what is left of the run's own limit".to_owned(),
                Room::Taken => {
                    let hold = Hold::of(&self.meter, &which.bill, most);
                    match self.reserve_shared(which, most).await? {
                        None => return Ok(Paid { hold, ticket: None }),
                        Some(Granted::Yes(ticket)) => {
                            let ticket = Some(ticket);
                            return Ok(Paid { hold, ticket });
                        }
                        Some(Granted::No(error)) => return Err(error),
                        Some(Granted::Busy(budget)) => budget,
                    }
                }
            };
            if self.ports.clock.now_us() >= until_us {
                let why = format!("{busy} is held by calls that are under way, and none has ended");
                return Err(exceeded(&why));
            }
            self.ports.clock.pause(self.jittered(pause_us)).await;
            pause_us = (pause_us * 2).min(MOST_PAUSE_US);
        }
    }

    async fn reserve_shared(
        &self,
        which: &Which,
        most: Amount,
    ) -> Result<Option<Granted>, NodeError> {
        if !self.ports.budget.apply().await? {
            return Ok(None);
        }
        let call = Reservation {
            most,
            lasts_ms: which.timeout_ms.saturating_add(GRACE_MS),
        };
        self.ports.budget.reserve(&call).await.map(Some)
    }

    async fn settle(&self, paid: Paid<'_>, cost: Option<Amount>) {
        paid.hold.end(cost);
        if let Some(ticket) = &paid.ticket {
            self.ports.budget.settle(ticket, cost).await;
        }
    }

    /// Between half of it and all of it: those who wait do not look all at once.
    fn jittered(&self, us: u64) -> u64 {
        let mut random = [0; 2];
        self.ports.entropy.fill(&mut random);
        us / 2 + us / 2 * u64::from(u16::from_le_bytes(random)) / u64::from(u16::MAX)
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
    pub(super) async fn key_of(
        &self,
        which: &Which,
        model: &Model,
    ) -> Result<Option<String>, NodeError> {
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

    pub(super) fn check(&self, which: &Which, url: &str) -> Result<(), NodeError> {
        let url =
            Url::parse(url).map_err(|error| NodeError::config(format!("bad URL: {error}")))?;
        self.check_url(which, &url)
    }
}

/// What so many tokens of a model cost at a time.
fn amount(prices: &Prices, reference: &str, usage: Usage, at_us: i64) -> Amount {
    Amount {
        tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
        pusd: prices
            .cost_at(reference, &usage, at_us)
            .map(|priced| priced.pusd),
    }
}
