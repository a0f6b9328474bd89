//! API keys: `nai_live_` or `nai_test_`, 30 random base62 characters, 6 base62 characters of CRC32
//! over everything before them (so a mistyped key is refused without asking anyone).
use rand::Rng;
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_LENGTH: usize = 30;
const CHECK_LENGTH: usize = 6;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Real use.
    Live,
    /// Tests.
    Test,
}

impl Kind {
    /// The key's prefix.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Live => "nai_live_",
            Self::Test => "nai_test_",
        }
    }
}

/// A new key, shown once.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The whole key.
    pub secret: String,
    /// Its prefix.
    pub prefix: &'static str,
}

impl ApiKey {
    /// Draws a key from the operating system's randomness.
    pub fn mint(kind: Kind) -> Self {
        let mut random = rand::rngs::OsRng;
        let mut secret = kind.prefix().to_owned();
        secret.extend(
            (0..RANDOM_LENGTH).map(|_| char::from(ALPHABET[random.gen_range(0..ALPHABET.len())])),
        );
        secret.push_str(&checksum(&secret));
        Self {
            secret,
            prefix: kind.prefix(),
        }
    }

    /// The hash that the database keeps: SHA-256 of the whole key, in hex.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.secret.as_bytes()))
    }

    /// The last four characters, for telling keys apart.
    pub fn last4(&self) -> &str {
        &self.secret[self.secret.len() - 4..]
    }
}

/// Whether `key` has the form of a key and its checksum is right.
pub fn is_well_formed(key: &str) -> bool {
    let Some(body) = [Kind::Live, Kind::Test]
        .iter()
        .find_map(|kind| key.strip_prefix(kind.prefix()))
    else {
        return false;
    };
    body.len() == RANDOM_LENGTH + CHECK_LENGTH
        && body.bytes().all(|byte| ALPHABET.contains(&byte))
        && checksum(&key[..key.len() - CHECK_LENGTH]) == key[key.len() - CHECK_LENGTH..]
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECK_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_form() {
        for kind in [Kind::Live, Kind::Test] {
            let key = ApiKey::mint(kind);
            assert_eq!(key.secret.len(), 9 + 36);
            assert!(is_well_formed(&key.secret));
            assert_eq!(key.hash().len(), 64);
            assert!(key.secret.ends_with(key.last4()));
        }
    }

    #[test]
    fn a_changed_character_is_noticed() {
        let key = ApiKey::mint(Kind::Live).secret;
        let other = if key.as_bytes()[12] == b'a' { 'b' } else { 'a' };
        let wrong = format!("{}{other}{}", &key[..12], &key[13..]);
        assert!(!is_well_formed(&wrong));
        assert!(!is_well_formed("nai_live_short"));
        assert!(!is_well_formed(
            "sk_live_000000000000000000000000000000000000"
        ));
    }

    #[test]
    fn the_checksum_is_crc32_in_base62() {
        // CRC-32 of "123456789" is 0xCBF43926 by the standard's check value; reading the digits back must give it.
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        let value = checksum("123456789").bytes().fold(0u64, |sum, byte| {
            sum * 62 + ALPHABET.iter().position(|a| *a == byte).unwrap() as u64
        });
        assert_eq!(value, 0xCBF4_3926);
    }
}
