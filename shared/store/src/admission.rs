//! What admission is asked and what it answers: credential, verdict, principal, rate-limit bucket.

use serde::Deserialize;
use serde_json::Value;

/// How the caller showed who they are; already checked as far as that is possible without the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Credential {
    /// An API key, known by its SHA-256 (hex).
    ApiKey {
        /// SHA-256 of the whole key, hex.
        hash: String,
    },
    /// The key of a run that is at work, known by its SHA-256 (hex).
    RunKey {
        /// SHA-256 of the whole key, hex.
        hash: String,
    },
    /// A user token whose signature and times were verified.
    Jwt {
        /// The token's claims.
        claims: Value,
        /// The token itself: goes along to Supabase.
        token: String,
    },
}

/// What a request asks of admission.
#[derive(Debug, Clone)]
pub struct Admission<'a> {
    /// Who.
    pub credential: Credential,
    /// The organisation chosen by the caller, when it belongs to several.
    pub org_id: Option<&'a str>,
    /// The scope that the route needs, such as `workflows:read`.
    pub scope: &'a str,
    /// The route, as method and pattern: what policies of the rate limit may name.
    pub route: &'a str,
    /// Tokens to take from the rate-limit bucket.
    pub cost: u32,
    /// The client's address, for keys with an allow-list.
    pub ip: Option<&'a str>,
    /// Unguessable mark of this session, hex.
    pub nonce: &'a str,
    /// Now, seconds since the epoch.
    pub now_s: i64,
}

impl Admission<'_> {
    /// The SQL function that admits whoever shows such a credential.
    pub(crate) fn function(&self) -> &'static str {
        match self.credential {
            Credential::RunKey { .. } => "admit_run",
            Credential::ApiKey { .. } | Credential::Jwt { .. } => "admit",
        }
    }
}

/// Admission's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Come in.
    Ok,
    /// No such key.
    UnknownKey,
    /// The key was revoked.
    KeyRevoked,
    /// The key has expired.
    KeyExpired,
    /// The client's address is not on the key's list.
    IpRefused,
    /// The credential does not carry the scope.
    ScopeMissing,
    /// The bucket is empty.
    RateLimited,
    /// The caller is not a member of the organisation that it chose.
    NotAMember,
    /// The caller's account is being deleted.
    AccountClosing,
    /// The caller's account was deleted after the credential was issued.
    AccountDeleted,
}

/// One policy of the rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Policy {
    /// Its name.
    pub policy: String,
    /// Requests per window.
    pub limit: i64,
    /// Window, seconds.
    pub window_s: i64,
}

/// State of the tightest rate-limit bucket after admission.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Rate {
    /// The policy whose bucket this is.
    #[serde(default)]
    pub policy: String,
    /// All policies that the request falls under.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// Requests per window.
    #[serde(default)]
    pub limit: i64,
    /// Window, seconds.
    #[serde(default)]
    pub window_s: i64,
    /// Requests left.
    #[serde(default)]
    pub remaining: i64,
    /// Milliseconds until the bucket is full again.
    #[serde(default)]
    pub reset_ms: i64,
    /// Milliseconds until the request would be admitted; 0 when it was.
    #[serde(default)]
    pub retry_after_ms: i64,
}

/// Who was admitted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Principal {
    /// The verdict.
    pub outcome: Outcome,
    /// The user.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The active organisation: the tenant.
    #[serde(default)]
    pub org_id: Option<String>,
    /// The user's role there.
    #[serde(default)]
    pub member_role: Option<String>,
    /// The API key, when one was used.
    #[serde(default)]
    pub key_id: Option<String>,
    /// The credential's scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The workflows that the API key is limited to; `None` for all.
    #[serde(default)]
    pub workflow_ids: Option<Vec<String>>,
    /// The rate-limit bucket; empty for callers who were refused before it was asked.
    #[serde(default, deserialize_with = "null_as_default")]
    pub rate: Rate,
}

fn null_as_default<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Rate, D::Error> {
    Option::<Rate>::deserialize(from).map(Option::unwrap_or_default)
}

/// A refusal: why, and the bucket's state for the headers.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Why.
    pub outcome: Outcome,
    /// The bucket.
    pub rate: Rate,
}
