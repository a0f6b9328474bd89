//! What a run is told by the platform itself, beside its secrets: earlier turns of a conversation, and the addresses of its waits.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_engine::{NodeError, Session, Turn};

/// Conversations as they are kept.
pub trait MemoryPort: std::fmt::Debug {
    /// The last turns of a conversation, at most so many, oldest first; without those that this run itself has kept, which its
    /// log has.
    ///
    /// # Errors
    /// When they cannot be read, or the run may have no such conversation.
    fn recall<'a>(
        &'a self,
        session: &'a Session,
        most_turns: usize,
    ) -> LocalBoxFuture<'a, Result<Vec<Turn>, NodeError>>;
}

/// No conversation has been kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMemory;

impl MemoryPort for NoMemory {
    fn recall<'a>(
        &'a self,
        _: &'a Session,
        _: usize,
    ) -> LocalBoxFuture<'a, Result<Vec<Turn>, NodeError>> {
        async { Ok(Vec::new()) }.boxed_local()
    }
}

/// Where somebody without a credential answers a node that waits.
pub trait AddressPort: std::fmt::Debug {
    /// The address of a node of this run, by its way; the same whenever it is asked for. None where the installation gives none.
    fn address(&self, node: &str) -> Option<Address>;
}

/// The address of a wait.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// All of it: a URL, or a path where the installation does not know its own.
    pub url: String,
    /// The part of it, the same for all of a run's, that makes it a secret.
    pub secret: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Address")
    }
}

/// No addresses.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAddresses;

impl AddressPort for NoAddresses {
    fn address(&self, _: &str) -> Option<Address> {
        None
    }
}
