//! API keys: `nai_live_` or `nai_test_`, 30 random base62 characters, 6 base62 characters of CRC-32.
//!
//! The shape is GitHub's ("Behind GitHub's new authentication token formats", 2021): a prefix that secret scanners
//! know, a checksum that tells mistyped keys without a database, no character that breaks a double click.

use crate::Rejected;
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LEN: usize = 30;
const CHECKSUM_LEN: usize = 6;

/// Where a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `nai_live_`
    Live,
    /// `nai_test_`
    Test,
    /// `nai_run_`: of a run, for the platform's own areas, while it is at work.
    Run,
}

impl Mode {
    /// What the key begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Live => "nai_live_",
            Self::Test => "nai_test_",
            Self::Run => "nai_run_",
        }
    }
}

/// A key of the right form and checksum. Whether it exists only the store knows. Not printable by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey(…{})", self.last4())
    }
}

impl ApiKey {
    /// Makes a key from random bytes (at least 64, from a cryptographic source).
    ///
    /// `None` when there are too few of them.
    pub fn mint(mode: Mode, random: &[u8]) -> Option<Self> {
        let body = base62(random, RANDOM_LEN)?;
        let start = format!("{}{body}", mode.prefix());
        let sum = checksum(&start);
        Some(Self(start + &sum))
    }

    /// Reads a key. Errors: [`Rejected::BadChecksum`] when length, alphabet or checksum do not fit.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        let bad = Rejected::BadChecksum;
        let body = [Mode::Live, Mode::Test, Mode::Run]
            .iter()
            .find_map(|mode| text.strip_prefix(mode.prefix()))
            .ok_or(bad)?;
        let alphabet = body.bytes().all(|b| b.is_ascii_alphanumeric());
        if body.len() != RANDOM_LEN + CHECKSUM_LEN || !alphabet {
            return Err(bad);
        }
        let (start, sum) = text.split_at(text.len() - CHECKSUM_LEN);
        match checksum(start) == sum {
            true => Ok(Self(text.to_owned())),
            false => Err(bad),
        }
    }

    /// SHA-256 of the whole key, hex: what the store keeps. A key has 178 bits of entropy, so no slow hash is needed.
    pub fn hash(&self) -> String {
        sha256_hex(&self.0)
    }

    /// Whether it is a run's.
    pub fn is_of_run(&self) -> bool {
        self.0.starts_with(Mode::Run.prefix())
    }

    /// The last four characters, to recognise a key by.
    pub fn last4(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }

    /// The whole key, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// `len` characters out of random bytes. Bytes of 248 and more are passed over, so that each character is equally
/// likely; `None` when too few are left.
pub(crate) fn base62(random: &[u8], len: usize) -> Option<String> {
    let usable = random.iter().filter(|b| **b < 248);
    let characters = usable.map(|b| ALPHABET[usize::from(b % 62)] as char);
    let text: String = characters.take(len).collect();
    (text.len() == len).then_some(text)
}

/// SHA-256 of a text, hex.
pub(crate) fn sha256_hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// CRC-32 of `text` in base62, zero-padded to six characters (62^6 > 2^32).
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % 62];
        rest /= 62;
    }
    digits.iter().map(|b| *b as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        let random: Vec<u8> = (0..64).collect();
        ApiKey::mint(Mode::Live, &random).unwrap()
    }

    #[test]
    fn a_minted_key_reads_back() {
        let key = key();
        assert_eq!(key.expose().len(), 9 + 36);
        assert_eq!(ApiKey::parse(key.expose()).unwrap(), key);
    }

    #[test]
    fn a_changed_character_is_noticed_without_a_store() {
        let text = key().expose().to_owned();
        for position in 9..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(ApiKey::parse(&changed), Err(Rejected::BadChecksum));
        }
    }

    #[test]
    fn too_little_randomness_makes_no_key() {
        assert!(ApiKey::mint(Mode::Test, &[250; 64]).is_none());
        assert!(ApiKey::mint(Mode::Test, &[1; 29]).is_none());
    }

    #[test]
    fn the_hash_is_sha256_of_the_text() {
        // `printf %s abc | sha256sum`, FIPS 180-2 appendix B.1.
        assert_eq!(
            ApiKey("abc".into()).hash(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_key_does_not_print_itself() {
        let key = key();
        assert!(!format!("{key:?}").contains(&key.expose()[9..30]));
    }
}
