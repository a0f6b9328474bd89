//! Jobs as the API shows them.

use nodeai_finetune::provider::Dialect;
use nodeai_http::money;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

nodeai_store::columns! {
    /// Jobs.
    finetune_jobs {
        id: Uuid, name: Text, provider: Text, provider_job_id: Text, base_url: Text, key_secret: Text, base_model: Text,
        result_model: Text, file_id: Uuid, settings: Json, status: Text, metrics: Json, error: Json, estimated_cost_pusd: Int,
        examples: Int, validation_examples: Int, tokens: Int, trained_tokens: Int, training_file: Text, validation_file: Text,
        finished_at: Time, version: Int, created_at: Time, updated_at: Time, created_by: Uuid, request_key: Text,
        request_hash: Text,
    }
}

use finetune_jobs as col;

/// What is shown of a job.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::provider,
    col::provider_job_id,
    col::base_url,
    col::key_secret,
    col::base_model,
    col::result_model,
    col::file_id,
    col::settings,
    col::status,
    col::metrics,
    col::error,
    col::estimated_cost_pusd,
    col::examples,
    col::validation_examples,
    col::tokens,
    col::trained_tokens,
    col::training_file,
    col::validation_file,
    col::finished_at,
    col::version,
    col::created_at,
    col::updated_at,
];

fn some_micros<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let pusd = Option::<i64>::deserialize(from)?;
    Ok(pusd.map(money::usd_micros))
}

/// A fine-tuning job.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// Who trains.
    pub provider: Dialect,
    /// The provider's own id of the job; null while it was not asked, or has refused.
    pub provider_job_id: Option<String>,
    /// Where it is asked; null for its usual address.
    pub base_url: Option<String>,
    /// The secret with its key; null for the provider's usual one.
    pub key_secret: Option<String>,
    /// The model that is trained.
    pub base_model: String,
    /// The model that came of it.
    pub result_model: Option<String>,
    /// The file that the examples came from.
    pub file_id: Option<String>,
    /// Epochs and the like.
    pub settings: Value,
    /// `checking`, `queued`, `running`, `paused`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// What else the provider tells.
    pub metrics: Value,
    /// Why it failed: `{kind, message}`.
    pub error: Option<Value>,
    /// What training was estimated to cost; null when no price is known.
    #[serde(
        rename(deserialize = "estimated_cost_pusd"),
        deserialize_with = "some_micros",
        default
    )]
    #[schemars(rename = "estimated_cost_usd_micros")]
    pub estimated_cost_usd_micros: Option<i64>,
    /// Examples that it learns from.
    pub examples: Option<i64>,
    /// Examples that it is measured on.
    pub validation_examples: Option<i64>,
    /// About how many tokens both have.
    pub tokens: Option<i64>,
    /// Tokens that were trained, by the provider's count.
    pub trained_tokens: Option<i64>,
    /// The provider's id of the examples.
    pub training_file: Option<String>,
    /// The provider's id of those that it is measured on.
    pub validation_file: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// For `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Job {
    /// Whether it has ended.
    pub fn ended(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "failed" | "cancelled")
    }
}
