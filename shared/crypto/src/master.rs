//! The master keys of this deployment, newest first.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Versioned 256-bit keys. The first one seals, all of them open.
#[derive(Clone)]
pub struct MasterKeys(Vec<(u32, Zeroizing<[u8; 32]>)>);

/// The setting is not a list of keys. Never shows a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing is set.
    #[error("no master key is set")]
    Empty,
    /// An entry is not `<version>:<64 hex digits>`.
    #[error(
        "a master key must be written <version>:<64 hex digits>, several separated by commas, newest first"
    )]
    Form,
    /// Two entries have the same version.
    #[error("two master keys have the version {0}")]
    Twice(u32),
}

impl MasterKeys {
    /// Reads `2:<64 hex digits>,1:<64 hex digits>`.
    ///
    /// Errors: [`ParseError`], for the operator.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut keys: Vec<(u32, Zeroizing<[u8; 32]>)> = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            let (version, digits) = entry.split_once(':').ok_or(ParseError::Form)?;
            let version = version.trim().parse().map_err(|_| ParseError::Form)?;
            let mut key = Zeroizing::new([0; 32]);
            hex::decode_to_slice(digits.trim(), &mut *key).map_err(|_| ParseError::Form)?;
            if keys.iter().any(|(known, _)| *known == version) {
                return Err(ParseError::Twice(version));
            }
            keys.push((version, key));
        }
        match keys.is_empty() {
            true => Err(ParseError::Empty),
            false => Ok(Self(keys)),
        }
    }

    /// The version that seals.
    pub fn current(&self) -> u32 {
        self.0[0].0
    }

    /// Keys for another purpose than sealing, one of each master key, newest first: HKDF-Expand (RFC 5869) with one block, of
    /// a key that is random already.
    pub fn derived(&self, purpose: &str) -> Vec<Zeroizing<[u8; 32]>> {
        let derive = |(_, key): &(u32, Zeroizing<[u8; 32]>)| {
            // HMAC takes keys of any length.
            let mac = <Hmac<Sha256> as Mac>::new_from_slice(&**key);
            let mut mac = mac.unwrap_or_else(|_| unreachable!());
            mac.update(b"nodeai.derived.v1 ");
            mac.update(purpose.as_bytes());
            mac.update(&[1]);
            Zeroizing::new(mac.finalize().into_bytes().into())
        };
        self.0.iter().map(derive).collect()
    }

    /// The key that seals.
    pub(crate) fn newest(&self) -> &[u8; 32] {
        &self.0[0].1
    }

    /// The key of a version.
    pub(crate) fn of(&self, version: u32) -> Option<&[u8; 32]> {
        let found = self.0.iter().find(|(known, _)| *known == version);
        found.map(|(_, key)| &**key)
    }
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let versions: Vec<u32> = self.0.iter().map(|(version, _)| *version).collect();
        write!(out, "MasterKeys({versions:?})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_key(byte: u8) -> String {
        hex::encode([byte; 32])
    }

    #[test]
    fn the_first_key_is_the_one_that_seals() {
        let keys = MasterKeys::parse(&format!("7:{}, 3:{}", hex_key(7), hex_key(3))).unwrap();
        assert_eq!(keys.current(), 7);
        assert_eq!(keys.newest(), &[7; 32]);
        assert_eq!(keys.of(3), Some(&[3; 32]));
        assert_eq!(keys.of(4), None);
    }

    #[test]
    fn each_purpose_has_keys_of_its_own() {
        let keys = MasterKeys::parse(&format!("2:{},1:{}", hex_key(2), hex_key(1))).unwrap();
        let old = MasterKeys::parse(&format!("1:{}", hex_key(1))).unwrap();
        assert_eq!(keys.derived("a")[1], old.derived("a")[0]);
        assert_ne!(keys.derived("a")[0], keys.derived("b")[0]);
        assert_ne!(*keys.derived("a")[0], *keys.newest());
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        for (text, error) in [
            ("", ParseError::Empty),
            (" , ", ParseError::Empty),
            ("abcd", ParseError::Form),
            ("1:abcd", ParseError::Form),
            ("x:00", ParseError::Form),
        ] {
            assert_eq!(MasterKeys::parse(text).unwrap_err(), error, "{text}");
        }
        let twice = format!("1:{0},1:{0}", hex_key(1));
        assert_eq!(MasterKeys::parse(&twice).unwrap_err(), ParseError::Twice(1));
    }

    #[test]
    fn keys_do_not_print_themselves() {
        let keys = MasterKeys::parse(&format!("1:{}", hex_key(0xab))).unwrap();
        assert_eq!(format!("{keys:?}"), "MasterKeys([1])");
    }
}
