//! AES-256-GCM over whole messages.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};

use crate::OpenError;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;
/// Bytes of the tag at a ciphertext's end.
pub const TAG_LEN: usize = 16;

/// Ciphertext and tag. Errors: [`OpenError::Refused`] for messages beyond GCM's limit (64 GiB).
pub fn seal_raw(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    msg: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let cipher = Aes256Gcm::new(key.into());
    cipher
        .encrypt(nonce.into(), Payload { msg, aad })
        .map_err(|_| OpenError::Refused)
}

/// The message. Errors: [`OpenError::Refused`] unless key, nonce, additional data and ciphertext belong together.
pub fn open_raw(
    key: &[u8; 32],
    nonce: &[u8],
    aad: &[u8],
    msg: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let nonce: &[u8; NONCE_LEN] = nonce.try_into().map_err(|_| OpenError::Refused)?;
    let cipher = Aes256Gcm::new(key.into());
    cipher
        .decrypt(nonce.into(), Payload { msg, aad })
        .map_err(|_| OpenError::Refused)
}
