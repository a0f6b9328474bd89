//! API keys as the API shows them.

use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// API keys.
    api_keys {
        id: Uuid, user_id: Uuid, name: Text, prefix: Text, last4: Text, scopes: TextArray, workflow_ids: UuidArray,
        ip_allow: CidrArray, rate_per_minute: Int, rate_burst: Int, expires_at: Time, revoked_at: Time,
        rotated_from: Uuid, last_used_at: Time, usage_count: Int, version: Int, created_at: Time, updated_at: Time,
    }
}

/// What is shown of a key.
pub const SHOWN: &[Column] = &[
    api_keys::id,
    api_keys::user_id,
    api_keys::name,
    api_keys::prefix,
    api_keys::last4,
    api_keys::scopes,
    api_keys::workflow_ids,
    api_keys::ip_allow,
    api_keys::rate_per_minute,
    api_keys::rate_burst,
    api_keys::expires_at,
    api_keys::revoked_at,
    api_keys::rotated_from,
    api_keys::last_used_at,
    api_keys::usage_count,
    api_keys::version,
    api_keys::created_at,
    api_keys::updated_at,
];

/// A key, without the key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// Id (UUIDv7).
    pub id: String,
    /// The user with whose rights it acts.
    pub user_id: String,
    /// Name.
    pub name: String,
    /// `nai_live_` or `nai_test_`.
    pub prefix: String,
    /// Its last four characters.
    pub last4: String,
    /// What it may do, `area:action`; never more than its user's role.
    pub scopes: Vec<String>,
    /// The workflows that it may run; null for all.
    pub workflow_ids: Option<Vec<String>>,
    /// The networks that it may be used from; null for all.
    pub ip_allow: Option<Vec<String>>,
    /// Requests per minute; null for the organisation's rate.
    pub rate_per_minute: Option<i64>,
    /// Requests at once; null for the organisation's.
    pub rate_burst: Option<i64>,
    /// When it ends, RFC 3339; null for never.
    pub expires_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// The key in whose place it came.
    pub rotated_from: Option<String>,
    /// When it was last used, as of the last batch (at most five minutes ago).
    pub last_used_at: Option<String>,
    /// Requests that it made, as of the last batch.
    pub usage_count: i64,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A key that was just made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewKey {
    /// The key itself: shown here and never again.
    pub key: String,
    /// Everything else about it.
    #[serde(flatten)]
    pub rest: Key,
}
