//! Webhooks as the API shows them.

use crate::mail::Addressed;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

nodeai_store::columns! {
    /// Webhooks of both directions.
    webhooks {
        id: Uuid, direction: Text, name: Text, workflow_id: Uuid, url: Text, event_types: TextArray, headers: Json,
        public_key: Text, channel: Text, email: Json, secret_id: Uuid, previous_secret_until: Time,
        throttled_until: Time, disabled_at: Time, disabled_reason: Text,
        version: Int, created_at: Time, updated_at: Time,
    }
}

use webhooks as col;

/// What is shown of a webhook.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::workflow_id,
    col::url,
    col::event_types,
    col::headers,
    col::public_key,
    col::channel,
    col::email,
    col::secret_id,
    col::previous_secret_until,
    col::throttled_until,
    col::disabled_at,
    col::disabled_reason,
    col::version,
    col::created_at,
    col::updated_at,
];

/// A subscription of a URL to events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// Where events go; the provider's API where they go by e-mail.
    pub url: String,
    /// `http` or `email`.
    pub channel: String,
    /// From whom to whom, where they go by e-mail.
    pub email: Option<Addressed>,
    /// The secret with the provider's key; null when it is gone.
    pub secret_id: Option<String>,
    /// Which events; none, or `*`, are all of them.
    pub event_types: Vec<String>,
    /// Only events of this workflow; null for all.
    pub workflow_id: Option<String>,
    /// Header fields that go along.
    pub headers: BTreeMap<String, String>,
    /// With which receivers verify `v1a` signatures (`whpk_…`); null for those that share a secret (`v1`).
    pub public_key: Option<String>,
    /// Until when the key before signs too, RFC 3339; null when it was never rotated.
    pub previous_secret_until: Option<String>,
    /// Until when nothing is sent, since the receiver has asked for that, RFC 3339.
    pub throttled_until: Option<String>,
    /// Since when it is off, RFC 3339; null while it is on.
    pub disabled_at: Option<String>,
    /// Why it is off.
    pub disabled_reason: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A webhook with its new key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NewWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// The secret that receivers verify with (`whsec_…`): shown this once, by this answer and its repetitions. Absent
    /// where they verify with `public_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// How messages are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signing {
    /// HMAC-SHA256 with a secret that the receiver shares: `v1`.
    #[default]
    HmacSha256,
    /// Ed25519, verified with a public key: `v1a`.
    Ed25519,
}
