//! A webhook's keys: drawn, sealed in their envelopes, opened for a delivery.

use crate::model::Signing;
use nodeai_app::vault::{self, SealedText};
use nodeai_app::{Caller, Cx, Scope, clock};
use nodeai_crypto::Place;
use nodeai_http::Problem;
use nodeai_webhook::Key;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A key that was drawn, and the row in which it is stored.
pub struct Drawn {
    /// What receivers verify with when it is a secret; shown once.
    pub secret: Option<Zeroizing<String>>,
    /// What they verify with when it is public.
    pub public_key: Option<String>,
    /// The sealed key.
    pub row: Value,
}

/// Draws a key and seals it for a webhook. Errors: 503 without a master key.
pub fn draw<S: Scope>(
    caller: &Caller<S>,
    webhook_id: &str,
    signing: Signing,
) -> Result<Drawn, Problem> {
    let random = Zeroizing::new(clock::random::<32>());
    let key = match signing {
        Signing::HmacSha256 => Key::shared(&random),
        Signing::Ed25519 => Key::private(&random),
    };
    let secret = key.expose();
    let public_key = key.public();
    Ok(Drawn {
        row: text(caller, webhook_id, &secret)?,
        secret: public_key.is_none().then_some(secret),
        public_key,
    })
}

/// Seals a text for a webhook: its row. Errors: 503 without a master key.
pub fn text<S: Scope>(caller: &Caller<S>, webhook_id: &str, text: &str) -> Result<Value, Problem> {
    let id = clock::new_id();
    let place = place(caller.org_id(), webhook_id, &id);
    let sealed = vault::seal(&caller.cx, place, text.as_bytes())?.for_row();
    Ok(
        json!({"id": id, "key_version": sealed.key_version, "wrapped_key": sealed.wrapped_key,
        "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}),
    )
}

/// A key as the store hands it out for a delivery.
#[derive(Debug, Deserialize)]
pub struct SealedKey {
    id: String,
    #[serde(flatten)]
    sealed: SealedText,
}

impl SealedKey {
    /// The key. Errors: 503 without its master key, 409 when it was tampered with.
    pub fn open(&self, cx: &Cx, org_id: &str, webhook_id: &str) -> Result<Key, Problem> {
        let text = self.open_text(cx, org_id, webhook_id)?;
        Key::parse(&text).map_err(|error| Problem::sealed_value_refused(error.to_string()))
    }

    /// The text. Errors: 503 without its master key, 409 when it was tampered with.
    pub fn open_text(
        &self,
        cx: &Cx,
        org_id: &str,
        webhook_id: &str,
    ) -> Result<Zeroizing<String>, Problem> {
        let bytes = vault::open(cx, place(org_id, webhook_id, &self.id), &self.sealed)?;
        let text = std::str::from_utf8(&bytes);
        text.map(|text| Zeroizing::new(text.to_owned()))
            .map_err(|_| Problem::sealed_value_refused("the secret is not text"))
    }
}

fn place<'a>(org_id: &'a str, webhook_id: &'a str, key_id: &'a str) -> Place<'a> {
    Place {
        kind: "webhook",
        org_id,
        id: webhook_id,
        version: key_id,
    }
}
