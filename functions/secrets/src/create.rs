//! `POST /api/v1/secrets`

use crate::SecretsWrite;
use crate::model::{SHOWN, Secret, check_hosts, check_value, secrets_vault};
use crate::seal::version_row;
use nodeai_app::{Caller, Created, Op, Valid, Write, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A secret to be stored.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretInput {
    /// Letters, digits and `_`, not a digit first; at most 128 characters.
    name: String,
    /// The value: 1 to 65,536 bytes. It is encrypted before it is stored.
    value: String,
    /// What it is for, at most 2,000 characters.
    #[serde(default)]
    description: Option<String>,
    /// The environment that it is for; empty for all that have none of their own.
    #[serde(default)]
    environment: Environment,
    /// The only hosts that it may be sent to, such as `api.example.com` or `*.example.com`.
    #[serde(default)]
    hosts: Option<Vec<String>>,
}

/// An environment.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// All that have none of their own.
    #[default]
    #[serde(rename = "")]
    All,
    /// Development.
    Dev,
    /// Staging.
    Staging,
    /// Production.
    Prod,
}

impl Environment {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

impl Check for SecretInput {
    fn check(&self, c: &mut Checker) {
        let mut bytes = self.name.bytes();
        let first = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let holds = first && rest && self.name.len() <= 128;
        let detail = "letters, digits and _, not a digit first, at most 128";
        c.require(holds, "/name", "format", detail);
        check_value(c, &self.value);
        let description = self.description.as_deref().unwrap_or("");
        c.length(description, 0, 2_000, "/description");
        if let Some(hosts) = &self.hosts {
            check_hosts(c, hosts);
        }
    }
}

/// Encrypts and stores.
pub async fn handle(
    caller: Caller<SecretsWrite>,
    Valid(input): Valid<SecretInput>,
) -> Result<Created<Secret>, Problem> {
    let id = clock::new_id();
    let mut version = version_row(&caller, &id, &input.value)?;
    version["secret_id"] = json!(id);
    version["number"] = json!(1);
    let row = json!({"name": input.name, "description": input.description, "hosts": input.hosts,
        "environment": input.environment.as_str()});
    let location = format!("/api/v1/secrets/{id}");
    let write = Write::new(Op::Insert, secrets_vault::TABLE, "secret", &id)
        .row(row)
        .child("secret_versions", version)
        .returning(SHOWN)
        .audit("secret.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}
