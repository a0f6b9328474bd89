//! `PATCH /api/v1/secrets/{id}`

use crate::SecretsWrite;
use crate::model::{SHOWN, Secret, check_hosts, secrets_vault};
use nodeai_app::{Caller, IfMatch, Op, PathId, Reply, Valid, Write};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What may change beside the value; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretPatch {
    /// What it is for, at most 2,000 characters; null for nothing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    description: Option<Option<String>>,
    /// The only hosts that it may be sent to; null for any.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    hosts: Option<Option<Vec<String>>>,
}

impl Check for SecretPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(Some(text)) = &self.description {
            c.length(text, 0, 2_000, "/description");
        }
        if let Some(Some(hosts)) = &self.hosts {
            check_hosts(c, hosts);
        }
    }
}

/// Changes what is known about the secret.
pub async fn handle(
    caller: Caller<SecretsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<SecretPatch>,
) -> Result<Reply<Secret>, Problem> {
    let write = Write::new(Op::Update, secrets_vault::TABLE, "secret", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("secret.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
