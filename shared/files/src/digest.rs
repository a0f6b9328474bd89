//! Digests that clients send along: `Content-Digest` and `Repr-Digest` (RFC 9530), `Upload-Checksum` (tus).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha1::Digest;
use subtle::ConstantTimeEq;

/// What tus announces.
pub const ALGORITHMS: &str = "sha1,sha256";

/// A digest that the content must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// SHA-1, which tus asks every server to know: against accidents only.
    Sha1(Vec<u8>),
    /// SHA-256.
    Sha256(Vec<u8>),
}

/// Why a digest field cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not of the field's form.
    #[error("is not a digest of the form that it should have")]
    Form,
    /// An algorithm that is not known here.
    #[error("names an algorithm other than sha1 and sha256")]
    Algorithm,
}

/// The SHA-256 in a `Content-Digest` or `Repr-Digest` field: a dictionary whose values are `:base64:` (RFC 8941). Other
/// algorithms beside it are passed over; alone they count as not there, as RFC 9530 lets them.
///
/// # Errors
/// [`Unreadable::Form`] when the SHA-256 is none.
pub fn field(value: &str) -> Result<Option<Expected>, Unreadable> {
    let entries = value
        .split(',')
        .filter_map(|entry| entry.trim().split_once('='));
    let found = entries
        .into_iter()
        .find(|(name, _)| name.trim() == "sha-256");
    let Some((_, item)) = found else {
        return Ok(None);
    };
    let text = item
        .trim()
        .strip_prefix(':')
        .and_then(|rest| rest.strip_suffix(':'));
    let bytes = text.and_then(|text| BASE64_STANDARD.decode(text).ok());
    let bytes = bytes.filter(|bytes| bytes.len() == 32);
    bytes
        .map(|bytes| Some(Expected::Sha256(bytes)))
        .ok_or(Unreadable::Form)
}

/// `Upload-Checksum: <algorithm> <base64>`.
///
/// # Errors
/// When it is of another form, or of another algorithm.
pub fn checksum(value: &str) -> Result<Expected, Unreadable> {
    let (algorithm, text) = value.trim().split_once(' ').ok_or(Unreadable::Form)?;
    let bytes = BASE64_STANDARD
        .decode(text.trim())
        .map_err(|_| Unreadable::Form)?;
    match (algorithm, bytes.len()) {
        ("sha1", 20) => Ok(Expected::Sha1(bytes)),
        ("sha256", 32) => Ok(Expected::Sha256(bytes)),
        ("sha1" | "sha256", _) => Err(Unreadable::Form),
        _ => Err(Unreadable::Algorithm),
    }
}

/// A SHA-256 in hex.
pub fn sha256_hex(text: &str) -> Result<Expected, Unreadable> {
    let bytes = crate::unhex(text).filter(|bytes| bytes.len() == 32);
    bytes.map(Expected::Sha256).ok_or(Unreadable::Form)
}

/// The `Repr-Digest` of a content whose SHA-256 is this hex text.
pub fn repr_digest(sha256: &str) -> Option<String> {
    let bytes = crate::unhex(sha256)?;
    Some(format!("sha-256=:{}:", BASE64_STANDARD.encode(bytes)))
}

/// Hashes what comes and says at the end whether it is what was expected.
pub enum Verifier {
    /// Of a [`Expected::Sha1`].
    Sha1(sha1::Sha1, Vec<u8>),
    /// Of a [`Expected::Sha256`].
    Sha256(sha2::Sha256, Vec<u8>),
}

impl Verifier {
    /// A verifier of what is expected.
    pub fn new(expected: Expected) -> Self {
        match expected {
            Expected::Sha1(bytes) => Self::Sha1(sha1::Sha1::new(), bytes),
            Expected::Sha256(bytes) => Self::Sha256(sha2::Sha256::new(), bytes),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash, _) => hash.update(bytes),
            Self::Sha256(hash, _) => hash.update(bytes),
        }
    }

    /// Whether all that came is what was expected.
    pub fn holds(self) -> bool {
        match self {
            Self::Sha1(hash, want) => hash.finalize()[..].ct_eq(&want).into(),
            Self::Sha256(hash, want) => hash.finalize()[..].ct_eq(&want).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expected: Expected, content: &[u8]) -> bool {
        let mut verifier = Verifier::new(expected);
        let (a, b) = content.split_at(content.len() / 2);
        verifier.update(a);
        verifier.update(b);
        verifier.holds()
    }

    #[test]
    fn the_examples_of_rfc_9530_hold() {
        // Appendix D: {"hello": "world"} and a line feed.
        let value = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        let expected = field(value).unwrap().unwrap();
        assert!(holds(expected.clone(), b"{\"hello\": \"world\"}\n"));
        assert!(!holds(expected, b"{\"hello\": \"World\"}\n"));
        let several = format!("sha-512=:AAAA:, {value}");
        assert!(field(&several).unwrap().is_some());
        assert_eq!(field("sha-512=:AAAA:"), Ok(None));
        assert_eq!(field("sha-256=abc"), Err(Unreadable::Form));
    }

    #[test]
    fn the_example_of_tus_holds() {
        // tus 1.0, "Checksum": the text "hello world".
        let expected = checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").unwrap();
        assert!(holds(expected, b"hello world"));
        assert_eq!(
            checksum("md5 XrY7u+Ae7tCTyyK7j1rNww=="),
            Err(Unreadable::Algorithm)
        );
        assert_eq!(checksum("sha1 AAAA"), Err(Unreadable::Form));
        assert_eq!(checksum("sha1"), Err(Unreadable::Form));
    }

    #[test]
    fn a_stored_hash_is_written_as_a_field() {
        let hash = "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38";
        let value = repr_digest(hash).unwrap();
        assert_eq!(
            value,
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
        assert_eq!(field(&value), Ok(Some(sha256_hex(hash).unwrap())));
    }
}
