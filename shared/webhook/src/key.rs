//! Keys, and how they are written down: base64 behind a prefix that says what it is.

use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// Prefix of a shared secret.
const SHARED: &str = "whsec_";
/// Prefix of a private key.
const PRIVATE: &str = "whsk_";
/// Prefix of a public key.
const PUBLIC: &str = "whpk_";

/// A text that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither of the prefixes.
    #[error("a key begins with whsec_, whsk_ or whpk_")]
    Prefix,
    /// Not base64.
    #[error("a key is base64 behind its prefix")]
    Encoding,
    /// Shared secrets have 24 to 64 bytes, private keys 32 (or 64, with their public key), public keys 32.
    #[error("the key has a length that it must not have")]
    Length,
    /// Not a point of the curve, or a pair that does not belong together.
    #[error("the key is not one of Ed25519")]
    Curve,
}

/// What a message is signed with.
#[derive(Clone)]
pub enum Key {
    /// A secret that the receiver shares: HMAC-SHA256, `v1`.
    Shared(Zeroizing<Vec<u8>>),
    /// A private key whose public half the receiver knows: Ed25519, `v1a`.
    Private(Box<SigningKey>),
}

impl Key {
    /// A new shared secret from 32 bytes of a cryptographic source.
    pub fn shared(random: &Zeroizing<[u8; 32]>) -> Self {
        Self::Shared(Zeroizing::new(random.to_vec()))
    }

    /// A new private key from 32 bytes of a cryptographic source.
    pub fn private(random: &Zeroizing<[u8; 32]>) -> Self {
        Self::Private(Box::new(SigningKey::from_bytes(random)))
    }

    /// Reads a key that signs. Errors: see [`enum@Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(encoded) = text.strip_prefix(SHARED) {
            let bytes = decode(encoded)?;
            return match (24..=64).contains(&bytes.len()) {
                true => Ok(Self::Shared(bytes)),
                false => Err(Error::Length),
            };
        }
        let bytes = decode(text.strip_prefix(PRIVATE).ok_or(Error::Prefix)?)?;
        let key = match bytes.len() {
            32 => SigningKey::from_bytes(&array(&bytes)?),
            64 => SigningKey::from_keypair_bytes(&array(&bytes)?).map_err(|_| Error::Curve)?,
            _ => return Err(Error::Length),
        };
        Ok(Self::Private(Box::new(key)))
    }

    /// The key as it is written down.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Shared(bytes) => format!("{SHARED}{}", BASE64_STANDARD.encode(bytes)),
            Self::Private(key) => {
                let bytes = Zeroizing::new(key.to_keypair_bytes());
                format!("{PRIVATE}{}", BASE64_STANDARD.encode(*bytes))
            }
        })
    }

    /// The public half of a private key, as it is written down.
    pub fn public(&self) -> Option<String> {
        match self {
            Self::Shared(_) => None,
            Self::Private(key) => {
                let encoded = BASE64_STANDARD.encode(key.verifying_key().as_bytes());
                Some(format!("{PUBLIC}{encoded}"))
            }
        }
    }
}

/// What a receiver verifies with.
#[derive(Clone)]
pub enum Verifier {
    /// The shared secret.
    Shared(Zeroizing<Vec<u8>>),
    /// The sender's public key.
    Public(VerifyingKey),
}

impl Verifier {
    /// Reads a shared secret or a public key. Errors: see [`enum@Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let Some(encoded) = text.strip_prefix(PUBLIC) else {
            return match Key::parse(text)? {
                Key::Shared(bytes) => Ok(Self::Shared(bytes)),
                Key::Private(key) => Ok(Self::Public(key.verifying_key())),
            };
        };
        let bytes = decode(encoded)?;
        let key = VerifyingKey::from_bytes(&array(&bytes)?);
        key.map(Self::Public).map_err(|_| Error::Curve)
    }
}

fn decode(encoded: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = BASE64_STANDARD.decode(encoded);
    bytes.map(Zeroizing::new).map_err(|_| Error::Encoding)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(byte: u8) -> Zeroizing<[u8; 32]> {
        Zeroizing::new([byte; 32])
    }

    #[test]
    fn keys_read_back_as_they_were_written() {
        for key in [Key::shared(&random(1)), Key::private(&random(2))] {
            let text = key.expose();
            assert_eq!(*Key::parse(&text).unwrap().expose(), *text);
        }
        let private = Key::private(&random(2));
        assert!(private.public().unwrap().starts_with("whpk_"));
        assert!(Verifier::parse(&private.public().unwrap()).is_ok());
        assert_eq!(Key::shared(&random(1)).public(), None);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let encode = |bytes: usize| BASE64_STANDARD.encode(vec![7; bytes]);
        let cases = [
            ("secret".to_owned(), Error::Prefix),
            ("whpk_AAAA".to_owned(), Error::Prefix),
            ("whsec_!".to_owned(), Error::Encoding),
            (format!("whsec_{}", encode(23)), Error::Length),
            (format!("whsec_{}", encode(65)), Error::Length),
            (format!("whsk_{}", encode(33)), Error::Length),
            (format!("whsk_{}", encode(64)), Error::Curve),
        ];
        for (text, error) in cases {
            assert_eq!(Key::parse(&text).err(), Some(error), "{text}");
        }
        assert!(Key::parse(&format!("whsec_{}", encode(24))).is_ok());
        assert!(Key::parse(&format!("whsec_{}", encode(64))).is_ok());
    }
}
