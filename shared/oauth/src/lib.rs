//! Connected accounts (OAuth 2.0, RFC 6749): which providers there are, the code flow with PKCE (RFC 7636), and access
//! tokens that are refreshed by one caller at a time.
//!
//! - [`presets`] knows the providers that most people use.
//! - [`provider`] is a provider as it is configured.
//! - [`flow`] makes the authorization request and turns a code into tokens.
//! - [`revoke`] takes tokens back at the provider.
//! - [`connections`] opens a stored connection and keeps its token fresh.

pub mod connections;
pub mod discovery;
pub mod flow;
pub mod presets;
pub mod provider;
pub mod revoke;
mod send;
pub mod tokens;

pub use connections::{AccessToken, Connections};
pub use provider::{Provider, Revocation, TokenAuth};
pub use send::Fault;
pub use tokens::{Granted, Tokens};
