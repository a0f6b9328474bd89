//! One request, one answer over `wasi:http@0.2`: a component that serves 0.2 gets a fresh instance for each request, on every
//! host. Bodies are JSON; an answer that is no 200 is a problem (RFC 9457).

mod meter;
#[cfg(target_family = "wasm")]
mod wire;

pub use meter::{Exceeded, Meter};

#[cfg(target_family = "wasm")]
pub use wire::{read, send};

/// Why a request's body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It ended early, or was read already.
    Broken,
    /// It has more bytes than it may have.
    TooLarge,
}

impl Unread {
    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Broken => 400,
            Self::TooLarge => 413,
        }
    }

    /// For the problem's detail.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Broken => "the body cannot be read",
            Self::TooLarge => "the body is too large",
        }
    }
}
