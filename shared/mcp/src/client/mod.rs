//! The calling side: finds out what a server speaks, lists its tools and calls them. 2026-07-28 is tried first; a server
//! that does not know it gets the handshake of the revisions before.
//!
//! Left out: the transport of 2024-11-05 (HTTP+SSE), and resuming a broken stream by `Last-Event-ID`.

mod connect;
mod exchange;
#[cfg(test)]
mod tests;
mod tools;

pub use tools::{CallResult, Inputs, Listing, NoInputs, Tool};

use crate::rpc::RpcError;
use bytes::Bytes;
use futures::stream::LocalBoxStream;
use http::{HeaderMap, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};

/// Why a request brought no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// There was no answer of HTTP: what the transport says, and whether the other side has got nothing.
    #[error("{message}")]
    Transport {
        /// Stable word of the transport's, such as `timeout`.
        kind: &'static str,
        /// For a person.
        message: String,
    },
    /// 401 or 403, with what it says about how to get in.
    #[error("the server refused the credentials: HTTP {status}")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
        /// `WWW-Authenticate`.
        challenge: Option<String>,
    },
    /// Another status that is no answer.
    #[error("the server answered HTTP {status}")]
    Http {
        /// The status.
        status: u16,
        /// The error in its body, if it is one.
        error: Option<RpcError>,
    },
    /// An error of the protocol.
    #[error("the server answered: {0}")]
    Rpc(RpcError),
    /// What came is no answer of the protocol.
    #[error("the server's answer was not understood: {0}")]
    Protocol(String),
    /// The answer is larger than it may be.
    #[error("the server's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The tool asks for what nobody here can give.
    #[error("the tool asks for input that is not to be had here: {0}")]
    InputRequired(String),
}

/// An answer of HTTP, its body as it comes.
pub struct Incoming {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: LocalBoxStream<'static, Result<Bytes, Fault>>,
}

/// Sends requests, with whatever credentials they need. It follows no redirects.
#[allow(async_fn_in_trait)]
pub trait Transport {
    /// Sends one.
    ///
    /// # Errors
    /// [`Fault::Transport`].
    async fn send(&self, request: Request<Bytes>) -> Result<Incoming, Fault>;
}

/// What a server speaks, once that is known; worth keeping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// The revision.
    pub version: String,
    /// The session, in the earlier eras.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// A client of one server.
pub struct Client<'a, T> {
    transport: &'a T,
    url: String,
    info: Value,
    capabilities: Value,
    /// Most bytes of an answer.
    most: usize,
    spoken: RefCell<Option<Spoken>>,
    next: Cell<i64>,
}

impl<'a, T: Transport> Client<'a, T> {
    /// A client of the server at `url`, which says that it is `name`.
    pub fn new(transport: &'a T, url: &str, name: &str, version: &str) -> Self {
        Self {
            transport,
            url: url.to_owned(),
            info: json!({"name": name, "version": version}),
            capabilities: json!({}),
            most: 8 << 20,
            spoken: RefCell::new(None),
            next: Cell::new(1),
        }
    }

    /// Says what the client can do (`ClientCapabilities`); nothing unless said.
    pub fn with_capabilities(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Takes answers of at most so many bytes.
    pub fn with_most(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Takes it that the server speaks this, as it did before.
    pub fn with_spoken(self, spoken: Spoken) -> Self {
        self.spoken.replace(Some(spoken));
        self
    }

    /// What the server speaks, once connected.
    pub fn spoken(&self) -> Option<Spoken> {
        self.spoken.borrow().clone()
    }

    fn next_id(&self) -> Value {
        let id = self.next.get();
        self.next.set(id + 1);
        json!(id)
    }
}
