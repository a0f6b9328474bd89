//! What the runner needs from its host.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use futures::stream::LocalBoxStream;
use nodeai_engine::{CancelReason, NodeOutcome, Wait};
use serde_json::Value;

use crate::{AddressPort, AreaPort, BudgetPort, DatabasePort, Live, MemoryPort, Secret};

/// A response body as it arrives.
pub type Body = LocalBoxStream<'static, Result<Bytes, TransportError>>;

/// A request that got no (whole) answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TransportError {
    /// For people, without secrets.
    pub message: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Whether the other side may have got the request.
    pub sent: bool,
}

impl TransportError {
    /// A failure of the network, which may pass.
    pub fn network(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: true,
            sent: true,
        }
    }

    /// No connection came about, which may pass.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: true,
            sent: false,
        }
    }

    /// A refusal, which will not.
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retryable: false,
            sent: false,
        }
    }
}

/// Sends HTTP requests. Must not follow redirects.
#[allow(async_fn_in_trait)]
pub trait HttpPort {
    /// Sends a request and returns the head and the body of the answer. The runner enforces
    /// `timeout_ms` for the whole attempt by dropping the future; it is given so that a host
    /// can set its own limits alike.
    ///
    /// # Errors
    /// When no head arrives.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        timeout_ms: u64,
    ) -> Result<http::Response<Body>, TransportError>;
}

/// The time.
#[allow(async_fn_in_trait)]
pub trait Clock {
    /// Now, µs since the Unix epoch.
    fn now_us(&self) -> i64;
    /// Returns after that many µs: a limit for work that goes on meanwhile.
    async fn sleep(&self, us: u64);
    /// The same where a node does nothing else meanwhile, so that what it holds can be given to others.
    async fn pause(&self, us: u64) {
        self.sleep(us).await;
    }
}

/// Randomness.
pub trait Entropy {
    /// Fills the buffer with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Secrets could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secrets cannot be read: {message}")]
pub struct SecretError {
    /// For people, without secrets.
    pub message: String,
    /// Whether a later attempt may succeed.
    pub retryable: bool,
}

/// The caller's secrets.
#[allow(async_fn_in_trait)]
pub trait SecretPort {
    /// Opens these secrets for a node; names that do not exist are left out.
    ///
    /// # Errors
    /// When the vault cannot be reached, or a value does not open.
    async fn open(
        &self,
        node: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, Secret>, SecretError>;

    /// A fresh access token of a connected account for a node. `refused` is one that the account's provider has just
    /// not taken; it is not given again.
    ///
    /// # Errors
    /// There is no such connection, its grant has ended, or its provider cannot be reached.
    async fn access_token(
        &self,
        node: &str,
        connection: &str,
        refused: Option<&str>,
    ) -> Result<Secret, SecretError> {
        let _ = (node, refused);
        Err(SecretError {
            message: format!("there is no connection {connection}"),
            retryable: false,
        })
    }
}

/// Nobody listens any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the listener has gone")]
pub struct Closed;

/// Where live events go.
#[allow(async_fn_in_trait)]
pub trait Sink {
    /// Whether anybody listens; without, no events are made and models are not streamed.
    fn wants_events(&self) -> bool;
    /// Hands over one event, with its place in the log when it is there. May wait for the listener, but not for ever.
    ///
    /// # Errors
    /// When nobody listens any more: the run is cancelled.
    async fn send(&self, seq: Option<u64>, event: Live) -> Result<(), Closed>;

    /// Looks after the listener; called each second. Does not wait.
    ///
    /// # Errors
    /// As [`Sink::send`]: who hears nothing for a while has gone unseen otherwise.
    async fn beat(&self) -> Result<(), Closed> {
        Ok(())
    }
}

/// No listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl Sink for NoSink {
    fn wants_events(&self) -> bool {
        false
    }

    async fn send(&self, _: Option<u64>, _: Live) -> Result<(), Closed> {
        Ok(())
    }
}

/// No secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

impl SecretPort for NoSecrets {
    async fn open(&self, _: &str, _: &[String]) -> Result<BTreeMap<String, Secret>, SecretError> {
        Ok(BTreeMap::new())
    }
}

/// What somebody outside says to a run that is under way.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// It is to end.
    Cancel(CancelReason),
    /// An answer to a node that waits.
    Answer {
        /// The node, as the log names it.
        node: String,
        /// Its output.
        output: Value,
        /// The handle whose edges are taken.
        handle: String,
    },
    /// The run is somebody else's now: the driver stops, and nothing more is kept of what it does.
    Lost,
}

/// Where signals come from.
#[allow(async_fn_in_trait)]
pub trait Signals {
    /// The next one; pending as long as there is none. `waits` is what the run waits for now,
    /// which others may like to know.
    async fn next(&self, waits: &Waits) -> Signal;
}

/// What a run waits for, kept up to date by its driver: the node and what it waits for.
pub type Waits = RefCell<Vec<(String, Wait)>>;

/// A future that ends the run when it resolves; nothing else is said.
#[derive(Debug)]
pub struct CancelOn<F>(RefCell<Option<F>>);

impl<F: Future<Output = CancelReason>> CancelOn<F> {
    /// Ends the run when this resolves.
    pub fn new(future: F) -> Self {
        Self(RefCell::new(Some(future)))
    }
}

impl<F: Future<Output = CancelReason>> Signals for CancelOn<F> {
    async fn next(&self, _: &Waits) -> Signal {
        let future = self.0.borrow_mut().take();
        match future {
            Some(future) => Signal::Cancel(future.await),
            None => futures::future::pending().await,
        }
    }
}

/// Results of calls that count again for a while. A cache may forget, and may fail: then the
/// call is made.
#[allow(async_fn_in_trait)]
pub trait CachePort {
    /// The result under a key, while it counts.
    async fn get(&self, key: &str) -> Option<NodeOutcome>;
    /// Keeps a result for that many ms.
    async fn put(&self, key: &str, ttl_ms: u64, outcome: &NodeOutcome);
}

/// Nothing is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCache;

impl CachePort for NoCache {
    async fn get(&self, _: &str) -> Option<NodeOutcome> {
        None
    }

    async fn put(&self, _: &str, _: u64, _: &NodeOutcome) {}
}

/// All ports of one run.
#[derive(Debug)]
pub struct Ports<'a, H, C, E, S, L, K> {
    /// Outbound HTTP.
    pub http: &'a H,
    /// The time.
    pub clock: &'a C,
    /// Randomness.
    pub entropy: &'a E,
    /// Secrets.
    pub secrets: &'a S,
    /// Live events.
    pub sink: &'a L,
    /// Results that count again.
    pub cache: &'a K,
    /// The budgets that the run shares with others.
    pub budget: &'a dyn BudgetPort,
    /// Databases of the users' own.
    pub databases: &'a dyn DatabasePort,
    /// The platform's own areas.
    pub areas: &'a dyn AreaPort,
    /// Conversations.
    pub memory: &'a dyn MemoryPort,
    /// Where waits are answered.
    pub addresses: &'a dyn AddressPort,
}
