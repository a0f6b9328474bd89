//! `crypto`: digests, message authentication codes and encodings.

use data_encoding::{BASE32, BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Digest;

use super::{done, entry, given, made, to_text};
use crate::log::NodeError;
use crate::nodes::{Call, Effect, Spec, port};

pub(super) fn spec() -> Spec {
    let encodings = ["utf8", "hex", "base64", "base64url", "base32"];
    entry(
        "crypto",
        "Crypto",
        "Digests (hash), message authentication codes (hmac, verify) and encodings (encode, decode) of a text or of bytes in hex or base64. It has no random numbers: a run gives the same whenever it is replayed.",
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["operation"],
            "properties": {
                "operation": {"type": "string", "enum": ["hash", "hmac", "verify", "encode", "decode"], "x-nodeai": "literal"},
                "value": {"description": "The text; without it what comes in over the edge. Objects and lists are taken as JSON"},
                "value_encoding": {"type": "string", "enum": encodings, "default": "utf8", "description": "How the bytes of the value are written"},
                "algorithm": {"type": "string", "enum": ["md5", "sha1", "sha256", "sha384", "sha512"], "default": "sha256"},
                "key": {"type": "string", "description": "Of hmac and verify, usually {{ secrets.NAME }}"},
                "key_encoding": {"type": "string", "enum": encodings, "default": "utf8"},
                "signature": {"type": "string", "description": "Of verify: the code that came along"},
                "encoding": {"type": "string", "enum": ["hex", "base64", "base64url", "base32"], "default": "hex",
                    "description": "Of the result; of verify: of the signature; of encode and decode: which one"},
            },
        }),
        port(
            "output",
            "A text; of verify true or false",
            json!({"type": ["string", "boolean"]}),
        ),
        json!({"operation": "hmac", "value": "{{ inputs.body }}", "key": "{{ secrets.WEBHOOK_KEY }}", "algorithm": "sha256"}),
    )
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Utf8,
    #[default]
    Hex,
    Base64,
    Base64url,
    Base32,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    Md5,
    Sha1,
    #[default]
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Deserialize)]
struct Config {
    operation: String,
    #[serde(default, deserialize_with = "given")]
    value: Option<Value>,
    value_encoding: Option<Encoding>,
    #[serde(default)]
    algorithm: Algorithm,
    key: Option<String>,
    key_encoding: Option<Encoding>,
    signature: Option<String>,
    #[serde(default)]
    encoding: Encoding,
}

pub(super) fn decide(call: &Call<'_>) -> Result<Effect, NodeError> {
    let mut config: Config = call.config()?;
    let value = call.value_or_incoming("value", config.value.take())?;
    let text = match value {
        json @ (Value::Array(_) | Value::Object(_)) => made(json.to_string())?,
        scalar => to_text("value", scalar)?,
    };
    if config.operation == "decode" {
        let bytes = config.encoding.read("value", &text)?;
        let text = String::from_utf8(bytes).map_err(|_| NodeError::config("/value: the decoded bytes are no text; ask for them with operation encode and value_encoding".to_owned()))?;
        return Ok(done(made(text)?.into()));
    }
    let bytes = config
        .value_encoding
        .unwrap_or(Encoding::Utf8)
        .read("value", &text)?;
    Ok(done(match config.operation.as_str() {
        "hash" => config
            .encoding
            .write(&config.algorithm.digest(&bytes))
            .into(),
        "hmac" => config
            .encoding
            .write(&config.algorithm.sign(&config.key()?, &bytes))
            .into(),
        "verify" => {
            let signature = config.signature.as_deref();
            let signature = signature.ok_or_else(|| {
                NodeError::config("/signature: is required for this operation".to_owned())
            })?;
            // A signature that cannot be read is a wrong one, not a fault of the workflow.
            let signature = config
                .encoding
                .read("signature", signature.trim())
                .unwrap_or_default();
            config
                .algorithm
                .verify(&config.key()?, &bytes, &signature)
                .into()
        }
        _ => made(config.encoding.write(&bytes))?.into(),
    }))
}

impl Config {
    fn key(&self) -> Result<Vec<u8>, NodeError> {
        let key = self.key.as_deref().filter(|key| !key.is_empty());
        let key = key
            .ok_or_else(|| NodeError::config("/key: is required for this operation".to_owned()))?;
        self.key_encoding.unwrap_or(Encoding::Utf8).read("key", key)
    }
}

impl Encoding {
    fn read(self, field: &str, text: &str) -> Result<Vec<u8>, NodeError> {
        let compact = || text.split_whitespace().collect::<String>();
        let (read, name) = match self {
            Self::Utf8 => return Ok(text.as_bytes().to_vec()),
            Self::Hex => (HEXLOWER_PERMISSIVE.decode(compact().as_bytes()), "hex"),
            Self::Base64 => (
                BASE64_NOPAD.decode(compact().trim_end_matches('=').as_bytes()),
                "base64",
            ),
            Self::Base64url => (
                BASE64URL_NOPAD.decode(compact().trim_end_matches('=').as_bytes()),
                "base64url",
            ),
            Self::Base32 => (
                BASE32.decode(compact().to_ascii_uppercase().as_bytes()),
                "base32",
            ),
        };
        read.map_err(|_| NodeError::config(format!("/{field}: is not written in {name}")))
    }

    fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 | Self::Hex => HEXLOWER.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64url => BASE64URL_NOPAD.encode(bytes),
            Self::Base32 => BASE32.encode(bytes),
        }
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], bytes: &[u8]) -> Option<M> {
    // HMAC takes keys of every length.
    let mut mac = <M as Mac>::new_from_slice(key).ok()?;
    mac.update(bytes);
    Some(mac)
}

impl Algorithm {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => md5::Md5::digest(bytes).to_vec(),
            Self::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
        }
    }

    fn sign(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        fn of<M: Mac + hmac::digest::KeyInit>(key: &[u8], bytes: &[u8]) -> Vec<u8> {
            mac::<M>(key, bytes)
                .map(|mac| mac.finalize().into_bytes().to_vec())
                .unwrap_or_default()
        }
        match self {
            Self::Md5 => of::<Hmac<md5::Md5>>(key, bytes),
            Self::Sha1 => of::<Hmac<sha1::Sha1>>(key, bytes),
            Self::Sha256 => of::<Hmac<sha2::Sha256>>(key, bytes),
            Self::Sha384 => of::<Hmac<sha2::Sha384>>(key, bytes),
            Self::Sha512 => of::<Hmac<sha2::Sha512>>(key, bytes),
        }
    }

    /// In a time that does not tell where they differ.
    fn verify(self, key: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
        fn of<M: Mac + hmac::digest::KeyInit>(key: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
            mac::<M>(key, bytes).is_some_and(|mac| mac.verify_slice(signature).is_ok())
        }
        match self {
            Self::Md5 => of::<Hmac<md5::Md5>>(key, bytes, signature),
            Self::Sha1 => of::<Hmac<sha1::Sha1>>(key, bytes, signature),
            Self::Sha256 => of::<Hmac<sha2::Sha256>>(key, bytes, signature),
            Self::Sha384 => of::<Hmac<sha2::Sha384>>(key, bytes, signature),
            Self::Sha512 => of::<Hmac<sha2::Sha512>>(key, bytes, signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, refuse};
    use super::*;

    /// RFC 1321, FIPS 180, by the published examples for "abc".
    #[test]
    fn digests_are_those_of_the_standards() {
        for (algorithm, expected) in [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "sha256",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                "sha384",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "sha512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            check(
                "crypto",
                json!({"operation": "hash", "algorithm": algorithm}),
                json!("abc"),
                json!(expected),
            );
        }
    }

    /// RFC 4231, test cases 1 and 2; RFC 2202, test case 2.
    #[test]
    fn codes_are_those_of_the_standards() {
        let key = "0b".repeat(20);
        let first = json!({"operation": "hmac", "key": key, "key_encoding": "hex"});
        check(
            "crypto",
            first,
            json!("Hi There"),
            json!("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        );
        let second =
            |algorithm: &str| json!({"operation": "hmac", "key": "Jefe", "algorithm": algorithm});
        let value = || json!("what do ya want for nothing?");
        check(
            "crypto",
            second("sha512"),
            value(),
            json!(
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
            ),
        );
        check(
            "crypto",
            second("sha1"),
            value(),
            json!("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        );
        let verify = |signature: &str| json!({"operation": "verify", "key": "Jefe", "algorithm": "md5", "signature": signature});
        check(
            "crypto",
            verify("750c783e6ab0b503eaa86e310a5db738"),
            value(),
            json!(true),
        );
        check(
            "crypto",
            verify("750c783e6ab0b503eaa86e310a5db739"),
            value(),
            json!(false),
        );
        check("crypto", verify("no hex"), value(), json!(false));
    }

    /// RFC 4648, section 10.
    #[test]
    fn encodings_are_those_of_the_standard() {
        for (encoding, text, encoded) in [
            ("base64", "fooba", "Zm9vYmE="),
            ("base64url", "\u{3ff}\u{3ff}", "z7_Pvw"),
            ("base32", "foob", "MZXW6YQ="),
            ("hex", "foobar", "666f6f626172"),
        ] {
            check(
                "crypto",
                json!({"operation": "encode", "encoding": encoding}),
                json!(text),
                json!(encoded),
            );
            check(
                "crypto",
                json!({"operation": "decode", "encoding": encoding}),
                json!(encoded),
                json!(text),
            );
        }
        check(
            "crypto",
            json!({"operation": "encode", "encoding": "base64", "value_encoding": "hex"}),
            json!("00 FF"),
            json!("AP8="),
        );
    }

    #[test]
    fn faults_name_the_field() {
        refuse(
            "crypto",
            json!({"operation": "decode", "encoding": "base64"}),
            json!("a!"),
            "/value: is not written in base64",
        );
        refuse(
            "crypto",
            json!({"operation": "decode"}),
            json!("ff"),
            "/value: the decoded bytes are no text",
        );
        refuse(
            "crypto",
            json!({"operation": "hmac"}),
            json!("x"),
            "/key: is required",
        );
        refuse(
            "crypto",
            json!({"operation": "random"}),
            json!("x"),
            "/operation: expected one of",
        );
    }
}
