//! Tokens of links that work without a login: the link's id, when it ends, and an HMAC-SHA-256 (RFC 2104) over both. A token
//! that was made up or changed is refused before anybody asks the database; whether a link was removed, only that knows.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

const ID: usize = 16;
const SIGNED: usize = ID + 8;
const TOKEN: usize = SIGNED + 32;

/// Why a token does not open anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not one that was made here.
    #[error("this link is not one that was made here")]
    Forged,
    /// Its time is over.
    #[error("this link has expired")]
    Expired,
}

fn mac(key: &[u8; 32], signed: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(b"nodeai file link\0");
    mac.update(signed);
    mac
}

/// The token of the link `id` that ends at `expires_s` (seconds since the epoch).
pub fn write(key: &[u8; 32], id: [u8; ID], expires_s: u64) -> String {
    let mut token = id.to_vec();
    token.extend_from_slice(&expires_s.to_be_bytes());
    let tag = mac(key, &token).finalize().into_bytes();
    token.extend_from_slice(&tag);
    BASE64_URL_SAFE_NO_PAD.encode(token)
}

/// Checks a token with the keys that may have signed it.
///
/// # Errors
/// When none of them has, or its time was over at `now_s`.
pub fn check(keys: &[[u8; 32]], token: &str, now_s: u64) -> Result<(), Refused> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|_| Refused::Forged)?;
    if bytes.len() != TOKEN {
        return Err(Refused::Forged);
    }
    let (signed, tag) = bytes.split_at(SIGNED);
    let holds = |key: &[u8; 32]| mac(key, signed).verify_slice(tag).is_ok();
    if !keys.iter().any(holds) {
        return Err(Refused::Forged);
    }
    let expires = signed[ID..].try_into().map_or(0, u64::from_be_bytes);
    (now_s < expires).then_some(()).ok_or(Refused::Expired)
}

/// What the database knows a token by.
pub fn token_hash(token: &str) -> String {
    crate::hex(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_until_it_ends() {
        let token = write(&[7; 32], [1; 16], 100);
        assert_eq!(check(&[[8; 32], [7; 32]], &token, 99), Ok(()));
        assert_eq!(check(&[[7; 32]], &token, 100), Err(Refused::Expired));
    }

    #[test]
    fn a_changed_token_opens_nothing() {
        let token = write(&[7; 32], [1; 16], 100);
        assert_eq!(check(&[[8; 32]], &token, 1), Err(Refused::Forged));
        for i in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(check(&[[7; 32]], &changed, 1), Err(Refused::Forged), "{i}");
        }
        for odd in ["", "%", "AAAA"] {
            assert_eq!(check(&[[7; 32]], odd, 1), Err(Refused::Forged));
        }
    }
}
