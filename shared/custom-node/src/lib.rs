//! A custom node's way into the application: `GET /` describes it, `POST /` runs it once. The node itself is a dependency, a
//! component that somebody else built; what it may reach is what this component may, and each request has an instance of its
//! own.

pub mod wire;

#[cfg(target_family = "wasm")]
mod entry;

/// Most bytes of a request.
pub const MOST_REQUEST: usize = 16 << 20;
