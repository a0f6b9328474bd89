//! A user's code or a custom node: one request to the component that runs it. No URL of a user's leads there, and none of the guard's rules
//! apply: its address is ours.

use std::pin::pin;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header;
use nodeai_engine::{CallMeta, CodeCall, NodeError};

use super::body::read;
use super::{Ended, Shared, Which};
use crate::{CachePort, Clock, Entropy, HttpPort, SecretPort, Sink, TransportError};

/// Most bytes of an answer: a result and what was logged.
const MOST_ANSWER: u64 = 8 * 1024 * 1024;
/// How long the component may take to say that the time is over, in ms, before it is given up.
const GRACE_MS: u64 = 500;

impl<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Shared<'_, H, C, E, S, L, K>
{
    /// Runs code within the component's time, which may be shorter than the node's.
    pub(super) async fn run_code(&self, which: &Which, call: &CodeCall) -> Ended {
        let most_ms = call.most_ms(which.timeout_ms);
        let limit_us = (most_ms + GRACE_MS).saturating_mul(1_000);
        let limit = pin!(self.ports.clock.sleep(limit_us));
        let answer = pin!(self.ask_component(which, call, most_ms));
        match select(answer, limit).await {
            Either::Left((Ok((status, body)), _)) => call.finish(status, &body),
            Either::Left((Err(error), _)) => (CallMeta::default(), Err(error)),
            Either::Right(_) => (CallMeta::default(), Err(call.too_slow(most_ms))),
        }
    }

    async fn ask_component(
        &self,
        which: &Which,
        call: &CodeCall,
        most_ms: u64,
    ) -> Result<(u16, Vec<u8>), NodeError> {
        // The same for every attempt, and another for each call of one: what chance follows from.
        let seed = which.next_key(&[]);
        let request = http::Request::post(call.url())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(call.body(&seed, most_ms)?));
        let mut request = request.map_err(|error| NodeError::config(error.to_string()))?;
        // A custom node reaches hosts: its component refuses when they are not all of these.
        if call.is_node() {
            self.add_lists(which, request.headers_mut())?;
        }
        let sent = self.ports.http.send(request, which.timeout_ms).await;
        let (head, body) = sent.map_err(|error| unanswered(call, error))?.into_parts();
        let body = read(body, MOST_ANSWER).await;
        Ok((head.status.as_u16(), body.map_err(|_| call.stopped())?))
    }
}

/// An instance that ends at a bound has no answer. What is refused or not there is another matter.
fn unanswered(call: &CodeCall, error: TransportError) -> NodeError {
    match error.retryable && !error.message.contains("DestinationNotFound") {
        true => call.stopped(),
        false => call.unavailable(&error.message),
    }
}
