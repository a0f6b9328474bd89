//! Requests that come in: who may have sent them, which delivery they are, what a run is given of them.
//!
//! - [`scheme`] says how a sender shows who it is; [`verify`](mod@verify) checks that.
//! - [`delivery`] finds the delivery's id, by which a repetition is known.
//! - [`content`] makes a run's inputs of a request, and what is kept of it.
//! - [`pattern`] are the paths below a webhook's own.
//! - [`answer`] is the HTTP answer that a run's `respond` node gives.

pub mod answer;
pub mod content;
pub mod delivery;
pub mod pattern;
pub mod scheme;
pub mod verify;

pub use scheme::Scheme;
pub use verify::{Refused, verify};

use http::HeaderMap;

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// The path below the webhook's own, without a slash before it.
    pub path: &'a str,
    /// Query string, maybe empty.
    pub query: &'a str,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte: signatures are over this.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }
}
