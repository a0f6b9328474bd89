//! The Model Context Protocol over Streamable HTTP, without I/O: revision 2026-07-28, which has no handshake and no
//! sessions, and the revisions of 2025, which begin with `initialize`.
//!
//! - [`server`] takes a request apart, asks a [`Provider`](server::Provider) and makes the answer.
//! - [`client`] finds out what a server speaks, lists and calls its tools over a [`Transport`](client::Transport).
//! - [`auth`] is what a client needs to know of OAuth: challenges, metadata, requests for tokens.
//! - [`header`] writes values of JSON into header fields; [`rpc`] is JSON-RPC; [`version`] knows the revisions.

pub mod auth;
pub mod client;
pub mod header;
pub mod rpc;
pub mod server;
pub mod version;

/// Names of `_meta` that the protocol has for itself.
pub mod meta {
    /// The revision that a request speaks.
    pub const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// Who sends it.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// What the sender can do.
    pub const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// From which level on log messages are wanted.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Who answers.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// To which subscription a notification belongs.
    pub const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
    /// What progress notifications of a request are marked with.
    pub const PROGRESS_TOKEN: &str = "progressToken";
}
