//! What a client needs to know of OAuth (authorization in the protocol's revision 2026-07-28): where a server says who
//! issues its tokens ([`challenge`], [`metadata`]), and what is asked of the issuer ([`grant`]).
//!
//! Who sends these requests, keeps tokens and shows pages to people is up to the caller.

pub mod challenge;
pub mod grant;
pub mod metadata;

/// Why a server's or an issuer's word is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A document that is none, or lacks something.
    #[error("{0} is not what it should be: {1}")]
    Malformed(&'static str, String),
    /// A document or an answer that speaks of somebody else.
    #[error("{what} is {found:?}, not {expected:?}")]
    Mismatch {
        /// What: `issuer`, `resource`, `iss` or `state`.
        what: &'static str,
        /// Whom it speaks of.
        found: String,
        /// Whom it had to speak of.
        expected: String,
    },
    /// The issuer offers no way that is known here.
    #[error("the issuer offers no {0}")]
    Unsupported(&'static str),
    /// The issuer said no: an error code of RFC 6749, and maybe a description.
    #[error("the issuer refused: {0}")]
    Denied(String),
}
