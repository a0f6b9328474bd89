//! Sealing and opening with this deployment's master keys, and how sealed values travel.

use crate::clock;
use crate::cx::Cx;
use nodeai_crypto::{MasterKeys, OpenError, Place, RANDOM_LEN, Sealed};
use nodeai_http::Problem;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A sealed value as JSON; bytes are hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedText {
    /// Which master key wraps the data key.
    pub key_version: u32,
    /// The wrapped data key.
    pub wrapped_key: String,
    /// The value's nonce.
    pub nonce: String,
    /// The value's ciphertext.
    pub ciphertext: String,
}

impl From<&Sealed> for SealedText {
    fn from(sealed: &Sealed) -> Self {
        Self {
            key_version: sealed.key_version,
            wrapped_key: clock::hex(&sealed.wrapped_key),
            nonce: clock::hex(&sealed.nonce),
            ciphertext: clock::hex(&sealed.ciphertext),
        }
    }
}

impl SealedText {
    /// The same with bytes as SQL's `bytea` reads them from JSON (`\x…`).
    pub fn for_row(&self) -> Self {
        let bytea = |hex: &str| format!("\\x{hex}");
        Self {
            key_version: self.key_version,
            wrapped_key: bytea(&self.wrapped_key),
            nonce: bytea(&self.nonce),
            ciphertext: bytea(&self.ciphertext),
        }
    }

    fn bytes(&self) -> Option<Sealed> {
        Some(Sealed {
            key_version: self.key_version,
            wrapped_key: unhex(&self.wrapped_key)?,
            nonce: unhex(&self.nonce)?,
            ciphertext: unhex(&self.ciphertext)?,
        })
    }
}

/// Where a secret's version belongs.
pub fn secret_place<'a>(org_id: &'a str, secret_id: &'a str, version_id: &'a str) -> Place<'a> {
    Place {
        kind: "secret",
        org_id,
        id: secret_id,
        version: version_id,
    }
}

/// A secret's version as the store hands it out, after it has written the row of the access log.
#[derive(Debug, Deserialize)]
pub struct OpenedSecret {
    /// The secret's name.
    pub name: String,
    /// The version's number.
    pub number: i64,
    /// The hosts that it may be sent to.
    #[serde(default)]
    pub hosts: Option<Vec<String>>,
    secret_id: String,
    version_id: String,
    org_id: String,
    #[serde(flatten)]
    sealed: SealedText,
}

impl OpenedSecret {
    /// What the store is told about a version that does not open (`tampering_note`): an attack, or a wrong key.
    pub fn tampering(&self, request_id: &str) -> serde_json::Value {
        serde_json::json!({"org_id": self.org_id, "action": "secret.tampered", "resource_type": "secret",
            "resource_id": self.secret_id, "request_id": request_id})
    }

    /// The value as text. Errors: see [`open`]; 409 when it is not text.
    pub fn value(&self, cx: &Cx) -> Result<String, Problem> {
        let place = secret_place(&self.org_id, &self.secret_id, &self.version_id);
        let bytes = open(cx, place, &self.sealed)?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| Problem::sealed_value_refused("the value is not text"))
    }
}

/// Bytes of a hex text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<Vec<u8>>>()
        .filter(|_| text.len().is_multiple_of(2))
}

/// The master keys. Errors: 503 that says what to set.
pub fn master_keys(cx: &Cx) -> Result<&MasterKeys, Problem> {
    let keys = cx.settings.master_keys.as_ref();
    keys.map_err(|error| Problem::vault_not_configured(format!("nodeai_master_keys: {error}")))
}

/// Seals a value. Errors: 503 without a master key.
pub fn seal(cx: &Cx, place: Place<'_>, value: &[u8]) -> Result<SealedText, Problem> {
    let random = Zeroizing::new(clock::random::<RANDOM_LEN>());
    let sealed = master_keys(cx)?.seal(place, value, &random);
    sealed
        .map(|s| SealedText::from(&s))
        .map_err(|error| problem(error, place))
}

/// Opens a value. Errors: 503 without its master key, 500 when it was tampered with (and a line in the log).
pub fn open(cx: &Cx, place: Place<'_>, sealed: &SealedText) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let keys = master_keys(cx)?;
    let opened = sealed
        .bytes()
        .ok_or(OpenError::Refused)
        .and_then(|sealed| keys.open(place, &sealed));
    opened.map_err(|error| problem(error, place))
}

/// The data key of a value wrapped by the newest master key: its version and the wrapped key as hex.
pub fn rewrap(
    cx: &Cx,
    place: Place<'_>,
    key_version: u32,
    wrapped_key: &str,
) -> Result<(u32, String), Problem> {
    let sealed = Sealed {
        key_version,
        wrapped_key: unhex(wrapped_key).unwrap_or_default(),
        nonce: Vec::new(),
        ciphertext: Vec::new(),
    };
    let done = master_keys(cx)?.rewrap(place, &sealed, &clock::random());
    done.map(|(version, wrapped)| (version, clock::hex(&wrapped)))
        .map_err(|error| problem(error, place))
}

/// A value that does not open is never answered with its content's absence: it is said and logged.
pub fn problem(error: OpenError, place: Place<'_>) -> Problem {
    crate::errors::log("vault", &format!("{} {}: {error}", place.kind, place.id));
    match error {
        OpenError::KeyMissing(_) => Problem::vault_not_configured(error.to_string()),
        OpenError::Refused => Problem::sealed_value_refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_back_and_odd_text_does_not() {
        assert_eq!(unhex("00ff7a"), Some(vec![0, 255, 0x7a]));
        assert_eq!(unhex(""), Some(Vec::new()));
        for bad in ["0", "000", "zz", "é0"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
