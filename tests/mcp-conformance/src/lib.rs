//! What the conformance suite of the Model Context Protocol expects of a server and of a client, on the same protocol code as
//! the product's: fixtures behind `nodeai_mcp::server::Provider`, an HTTP client behind `nodeai_mcp::client::Transport`.

pub mod fixtures;
pub mod oauth;
pub mod wire;
