//! Deployments as the API shows them.

use nodeai_app::inputs::is_uuid;
use nodeai_http::Checker;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

nodeai_store::columns! {
    /// Deployments.
    deployments {
        id: Uuid, slug: Text, environment: Text, workflow_id: Uuid, workflow_version: Int, canary_version: Int,
        canary_percent: Int, variables: Json, status: Text, version: Int, created_by: Uuid, created_at: Time,
        updated_at: Time,
    }
}

/// What is shown of a deployment.
pub const SHOWN: &[Column] = &[
    deployments::id,
    deployments::slug,
    deployments::environment,
    deployments::workflow_id,
    deployments::workflow_version,
    deployments::canary_version,
    deployments::canary_percent,
    deployments::variables,
    deployments::status,
    deployments::version,
    deployments::created_by,
    deployments::created_at,
    deployments::updated_at,
];

/// Where something is deployed, from first to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
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
            Self::Dev => "dev",
            Self::Staging => "staging",
            Self::Prod => "prod",
        }
    }
}

/// Whether it takes runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It does.
    Active,
    /// It refuses them.
    Paused,
}

/// A version of a workflow behind a stable address.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    /// Id (UUIDv7).
    pub id: String,
    /// Its name in the address: `/api/v1/deployments/{slug}/invoke`.
    pub slug: String,
    /// Where.
    pub environment: Environment,
    /// The workflow.
    pub workflow_id: String,
    /// The version that runs.
    pub workflow_version: i64,
    /// The version that a share of the callers gets instead.
    pub canary_version: Option<i64>,
    /// That share, 0 to 100.
    pub canary_percent: i64,
    /// What templates see as `vars`, over the `vars` of the workflow's document.
    pub variables: Map<String, Value>,
    /// Whether it takes runs.
    pub status: Status,
    /// Version of this record, for `If-Match`.
    pub version: i64,
    /// Who made it.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// The most that variables may take as JSON, bytes.
const LARGEST: usize = 65_536;

/// Checks variables: names that templates can say after `vars.`, and not too much of them.
pub fn check_variables(c: &mut Checker, variables: &Map<String, Value>) {
    let size: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.to_string().len())
        .sum();
    let detail = "at most 65,536 bytes of names and values";
    c.require(size <= LARGEST, "/variables", "length", detail);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let named = |name: &str| {
        (1..=128).contains(&name.len())
            && name.bytes().all(plain)
            && !name.as_bytes()[0].is_ascii_digit()
    };
    let detail = "letters, digits and _, not a digit first, at most 128";
    let holds = variables.keys().all(|name| named(name));
    c.require(holds, "/variables", "format", detail);
}

/// Checks a slug. One that could be an id would make `invoke` ambiguous.
pub fn check_slug(c: &mut Checker, slug: &str) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = !slug.starts_with('-') && !slug.ends_with('-');
    let holds = (1..=100).contains(&slug.len()) && slug.bytes().all(plain) && ends;
    let detail =
        "1 to 100 of lower-case letters, digits and -, with no - at either end, and no UUID";
    c.require(holds && !is_uuid(slug), "/slug", "format", detail);
}

/// Checks a version's number.
pub fn check_version(c: &mut Checker, version: Option<i32>) {
    let holds = version.is_none_or(|number| number > 0);
    c.require(holds, "/version", "out_of_range", "from 1");
}
