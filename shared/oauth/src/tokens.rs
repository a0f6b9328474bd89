//! Tokens: as a provider grants them, and sealed.

use nodeai_app::vault::{self, SealedText};
use nodeai_app::{Cx, clock};
use nodeai_crypto::Place;
use nodeai_http::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is kept of a grant, sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// Sent to the provider's API.
    pub access_token: String,
    /// Brings the next access token; not every provider gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Tokens(refresh: {})", self.refresh_token.is_some())
    }
}

/// A provider's answer.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The tokens.
    pub tokens: Tokens,
    /// When the access token ends, µs since the epoch; `None` when the provider does not say.
    pub expires_us: Option<i64>,
    /// Scopes, when the provider says which it gave.
    pub scopes: Option<Vec<String>>,
    /// Everything else in the answer, such as a workspace's name.
    pub more: Value,
}

/// Where the tokens of a connection belong. The empty version is that of the rotation of master keys.
fn place<'a>(org_id: &'a str, connection_id: &'a str) -> Place<'a> {
    Place {
        kind: "connection",
        org_id,
        id: connection_id,
        version: "",
    }
}

impl Tokens {
    /// Seals them for a connection. Errors: 503 without a master key.
    pub fn seal(&self, cx: &Cx, org_id: &str, connection_id: &str) -> Result<SealedText, Problem> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        vault::seal(cx, place(org_id, connection_id), &text)
    }

    /// Opens those of a connection. Errors: 503 without their master key, 409 when they were tampered with.
    pub fn open(
        cx: &Cx,
        org_id: &str,
        connection_id: &str,
        sealed: &SealedText,
    ) -> Result<Self, Problem> {
        let bytes = vault::open(cx, place(org_id, connection_id), sealed)?;
        serde_json::from_slice(&bytes)
            .map_err(|_| Problem::sealed_value_refused("the connection holds no tokens"))
    }
}

/// When a token that lives `seconds` from now ends, µs.
pub(crate) fn ends_us(seconds: Option<u64>) -> Option<i64> {
    let us = i64::try_from(seconds?).ok()?.checked_mul(1_000_000)?;
    clock::now_us().checked_add(us)
}
