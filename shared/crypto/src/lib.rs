//! Envelope encryption: a random data key per value, wrapped by a versioned master key; AES-256-GCM for both.
//!
//! NIST SP 800-38D (GCM) with 96-bit nonces and 128-bit tags. A data key encrypts one value and never another, so a
//! nonce cannot repeat under it. Both layers are bound by their additional data to the place that the value belongs to:
//! a ciphertext that was moved to another tenant, record or version does not open.

mod aead;
mod envelope;
mod master;
mod tag;

pub use aead::{NONCE_LEN, TAG_LEN};
pub use envelope::{Place, RANDOM_LEN, Sealed};
pub use master::{MasterKeys, ParseError};
pub use tag::TAG_BYTES;

/// Why something did not open. Says nothing about the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No master key of that version is configured.
    #[error("the master key of version {0} is not configured")]
    KeyMissing(u32),
    /// The ciphertext was changed or moved, or the master key is another one than was used.
    #[error("the ciphertext does not open: it was changed, or its master key is another one")]
    Refused,
}

#[doc(hidden)]
pub use aead::{open_raw, seal_raw};
