//! Signatures over `{id}.{timestamp}.{body}`.

use crate::key::{Key, Verifier};
use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::Signer;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Header field of the message's id, the same for every attempt.
pub const ID: &str = "webhook-id";
/// Header field of the attempt's time, seconds since the Unix epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header field of the signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

/// How far a receiver's clock may be from the sender's, seconds.
pub const TOLERANCE_S: i64 = 300;

/// Why a message is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The timestamp is no number.
    #[error("the timestamp is not a number of seconds")]
    Timestamp,
    /// More than [`TOLERANCE_S`] ago: it may be a replay.
    #[error("the message is too old")]
    TooOld,
    /// More than [`TOLERANCE_S`] ahead.
    #[error("the message is from the future")]
    TooNew,
    /// No signature fits.
    #[error("no signature fits")]
    Signature,
}

/// The value of [`SIGNATURE`]: one signature per key, so that a receiver with an old key and one with a new key both find
/// theirs.
pub fn sign<'a>(
    keys: impl IntoIterator<Item = &'a Key>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let content = content(id, &timestamp.to_string(), body);
    let each = keys.into_iter().map(|key| match key {
        Key::Shared(secret) => {
            let tag = mac(secret, &content).finalize().into_bytes();
            format!("v1,{}", BASE64_STANDARD.encode(tag))
        }
        Key::Private(key) => {
            let signature = key.sign(&content).to_bytes();
            format!("v1a,{}", BASE64_STANDARD.encode(signature))
        }
    });
    each.collect::<Vec<_>>().join(" ")
}

/// Verifies a message as its receiver: the three header fields, the body as it came, the time now. Comparisons take the
/// same time whatever differs.
///
/// Errors: see [`Untrusted`].
pub fn verify(
    verifier: &Verifier,
    (id, timestamp, signatures): (&str, &str, &str),
    body: &[u8],
    now_s: i64,
) -> Result<(), Untrusted> {
    let at: i64 = timestamp.parse().map_err(|_| Untrusted::Timestamp)?;
    match now_s.saturating_sub(at) {
        age if age > TOLERANCE_S => return Err(Untrusted::TooOld),
        age if age < -TOLERANCE_S => return Err(Untrusted::TooNew),
        _ => {}
    }
    let content = content(id, timestamp, body);
    let fits = |signature: &str| {
        let (version, encoded) = signature.split_once(',')?;
        let bytes = BASE64_STANDARD.decode(encoded).ok()?;
        match (verifier, version) {
            (Verifier::Shared(secret), "v1") => mac(secret, &content).verify_slice(&bytes).ok(),
            (Verifier::Public(key), "v1a") => {
                let signature = ed25519_dalek::Signature::from_slice(&bytes).ok()?;
                key.verify_strict(&content, &signature).ok()
            }
            _ => None,
        }
    };
    match signatures.split(' ').any(|one| fits(one).is_some()) {
        true => Ok(()),
        false => Err(Untrusted::Signature),
    }
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    content
}

/// RFC 2104: the key fills a block with zeros behind it; one that is longer than a block goes in as its hash.
fn mac(secret: &[u8], content: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    match block.get_mut(..secret.len()) {
        Some(start) => start.copy_from_slice(secret),
        None => block[..32].copy_from_slice(&Sha256::digest(secret)),
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    mac.update(content);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's example; its secret is shorter than the specification asks for.
    #[test]
    fn the_specifications_vector_holds() {
        let secret = BASE64_STANDARD.decode("plJ3nmyCDGBKInavdOK15jsl").unwrap();
        let key = Key::Shared(Zeroizing::new(secret));
        let body = br#"{"event_type":"ping","data":{"success":true}}"#;
        let signed = sign([&key], "msg_loFOjxBNrRLzqYUf", 1_731_705_121, body);
        assert_eq!(signed, "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=");
    }

    /// The vectors of Svix's libraries and server, from which the specification was taken.
    #[test]
    fn the_reference_implementations_vectors_hold() {
        let (id, at) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        let body = br#"{"test": 2432232314}"#;
        let shared = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            sign([&shared], id, at, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        let private = Key::parse(
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        );
        assert_eq!(
            sign([&private.unwrap()], id, at, body),
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
    }

    fn keys() -> [Key; 2] {
        let random = |byte| Zeroizing::new([byte; 32]);
        [Key::shared(&random(3)), Key::private(&random(4))]
    }

    #[test]
    fn each_receiver_finds_its_own_signature_and_no_other_is_taken() {
        let [shared, private] = keys();
        let signed = sign([&shared, &private], "msg_1", 1_000, b"{}");
        let verifiers = [shared.expose().to_string(), private.public().unwrap()];
        for text in &verifiers {
            let verifier = Verifier::parse(text).unwrap();
            let check = |id, at, signed: &str, body: &[u8], now| {
                verify(&verifier, (id, at, signed), body, now)
            };
            assert_eq!(check("msg_1", "1000", &signed, b"{}", 1_000), Ok(()));
            let refused = Err(Untrusted::Signature);
            assert_eq!(check("msg_2", "1000", &signed, b"{}", 1_000), refused);
            assert_eq!(check("msg_1", "1001", &signed, b"{}", 1_000), refused);
            assert_eq!(check("msg_1", "1000", &signed, b"{} ", 1_000), refused);
            assert_eq!(
                check("msg_1", "1000", "v1,AAAA v1a,AAAA x", b"{}", 1_000),
                refused
            );
            assert_eq!(check("msg_1", "1000", "", b"{}", 1_000), refused);
            // The right bytes under the other version's name.
            let swapped = signed.replace("v1,", "v9,").replace("v1a,", "v1,");
            assert_eq!(check("msg_1", "1000", &swapped, b"{}", 1_000), refused);
        }
    }

    /// RFC 4231, test cases 2 (a short key) and 6 (one that is longer than a block).
    #[test]
    fn the_mac_is_that_of_the_rfc() {
        let hex = |key: &[u8], data: &[u8]| -> String {
            let tag = mac(key, data).finalize().into_bytes();
            tag.iter().map(|b| format!("{b:02x}")).collect()
        };
        assert_eq!(
            hex(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let data = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            hex(&[0xaa; 131], data),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn old_and_early_messages_are_refused() {
        let [shared, _] = keys();
        let signed = sign([&shared], "msg_1", 1_000, b"");
        let verifier = Verifier::parse(&shared.expose()).unwrap();
        let at = |now| verify(&verifier, ("msg_1", "1000", &signed), b"", now);
        assert_eq!((at(1_300), at(700)), (Ok(()), Ok(())));
        assert_eq!(at(1_301), Err(Untrusted::TooOld));
        assert_eq!(at(699), Err(Untrusted::TooNew));
        let said = verify(&verifier, ("msg_1", "now", &signed), b"", 1_000);
        assert_eq!(said, Err(Untrusted::Timestamp));
    }
}
