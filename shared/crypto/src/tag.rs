//! Tags: texts that this deployment has given away are known again, without a list of them.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::MasterKeys;

/// Bytes of a tag.
pub const TAG_BYTES: usize = 32;

impl MasterKeys {
    /// The tag of a message for a purpose: HMAC-SHA256 under a key of its own, derived from the newest master key.
    pub fn tag(&self, purpose: &str, message: &[u8]) -> [u8; TAG_BYTES] {
        let keys = self.derived(purpose);
        let newest: &[u8; 32] = &keys[0];
        mac(newest, message).finalize().into_bytes().into()
    }

    /// Whether that is a tag of the message for the purpose, by any of the master keys. Takes the same time wherever a tag is
    /// wrong.
    pub fn has_tag(&self, purpose: &str, message: &[u8], tag: &[u8]) -> bool {
        let mut keys = self.derived(purpose).into_iter();
        keys.any(|key| mac(&key, message).verify_slice(tag).is_ok())
    }
}

fn mac(key: &[u8; 32], message: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(key);
    let mut mac = mac.unwrap_or_else(|_| unreachable!());
    mac.update(message);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> MasterKeys {
        MasterKeys::parse(text).unwrap()
    }

    #[test]
    fn a_tag_is_known_again_and_nothing_else_is() {
        let (old, new) = ("11".repeat(32), "22".repeat(32));
        let before = keys(&format!("1:{old}"));
        let tag = before.tag("waits", b"message");
        assert_eq!(tag, before.tag("waits", b"message"));
        assert!(before.has_tag("waits", b"message", &tag));
        let rotated = keys(&format!("2:{new},1:{old}"));
        assert!(rotated.has_tag("waits", b"message", &tag));
        assert_ne!(rotated.tag("waits", b"message"), tag);
        for (purpose, message, tag) in [
            ("waits", b"massage", &tag[..]),
            ("other", b"message", &tag[..]),
            ("waits", b"message", &tag[..31]),
            ("waits", b"message", &[]),
        ] {
            assert!(!before.has_tag(purpose, message, tag));
        }
        assert!(!keys(&format!("1:{new}")).has_tag("waits", b"message", &tag));
    }
}
