//! Secrets as the API shows them: never with a value.

use nodeai_http::Checker;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Secrets.
    secrets_vault {
        id: Uuid, name: Text, description: Text, environment: Text, hosts: TextArray, current: Int, version: Int,
        created_by: Uuid, created_at: Time, updated_at: Time,
    }
}

nodeai_store::columns! {
    /// Versions of secrets; what is readable of them.
    secret_versions {
        secret_id: Uuid, number: Int, id: Uuid, key_version: Int, created_by: Uuid, created_at: Time,
    }
}

/// What is shown of a secret.
pub const SHOWN: &[Column] = &[
    secrets_vault::id,
    secrets_vault::name,
    secrets_vault::description,
    secrets_vault::environment,
    secrets_vault::hosts,
    secrets_vault::current,
    secrets_vault::version,
    secrets_vault::created_by,
    secrets_vault::created_at,
    secrets_vault::updated_at,
];

/// A secret, without its value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    /// Id (UUIDv7).
    pub id: String,
    /// How workflows refer to it: `{{ secrets.NAME }}`.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// `dev`, `staging`, `prod`, or empty: for those environments that have none of their own.
    pub environment: String,
    /// The hosts that it may be sent to; null for any.
    pub hosts: Option<Vec<String>>,
    /// Number of the version in use.
    pub current: i64,
    /// Version of this record, for `If-Match`.
    pub version: i64,
    /// Who stored it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// The largest value, bytes.
pub const LARGEST: usize = 65_536;

/// Checks a value.
pub fn check_value(c: &mut Checker, value: &str) {
    let holds = (1..=LARGEST).contains(&value.len());
    c.require(holds, "/value", "length", "must have 1 to 65,536 bytes");
}

/// Checks host patterns: names, `*.example.com`, with a port where one is meant.
pub fn check_hosts(c: &mut Checker, hosts: &[String]) {
    let some = (1..=100).contains(&hosts.len());
    c.require(some, "/hosts", "length", "1 to 100 hosts, or null");
    for (i, host) in hosts.iter().enumerate() {
        let bare = host.strip_prefix("*.").unwrap_or(host);
        let (name, port) = bare.rsplit_once(':').unwrap_or((bare, "1"));
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        let holds = (1..=253).contains(&name.len())
            && name.bytes().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0);
        let detail = "must be a lower-case host such as api.example.com, *.example.com or api.example.com:8443";
        c.require(holds, &format!("/hosts/{i}"), "format", detail);
    }
}
