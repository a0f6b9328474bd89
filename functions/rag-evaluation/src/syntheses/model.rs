//! Syntheses as the API shows them.

use nodeai_http::money;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

nodeai_store::columns! {
    /// Syntheses of questions.
    eval_syntheses {
        id: Uuid, dataset_id: Uuid, knowledge_base_id: Uuid, status: Text, settings: Json, judge: Json, questions: Int,
        chunks: Int, budget_pusd: Int, cost_pusd: Int, progress: Json, outcome: Json, error: Json, owner_id: Uuid,
        owner_key_id: Uuid, started_at: Time, finished_at: Time, version: Int, created_at: Time, updated_at: Time,
    }
}

pub use eval_syntheses as col;

/// What is shown of a synthesis.
pub const SHOWN: &[Column] = &[
    col::id,
    col::dataset_id,
    col::knowledge_base_id,
    col::status,
    col::settings,
    col::judge,
    col::questions,
    col::chunks,
    col::budget_pusd,
    col::cost_pusd,
    col::progress,
    col::outcome,
    col::error,
    col::owner_id,
    col::owner_key_id,
    col::started_at,
    col::finished_at,
    col::version,
    col::created_at,
    col::updated_at,
];

fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    i64::deserialize(from).map(money::usd_micros)
}

fn some_micros<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let pusd = Option::<i64>::deserialize(from)?;
    Ok(pusd.map(money::usd_micros))
}

/// A synthesis of questions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Synthesis {
    /// Id (UUIDv7).
    pub id: String,
    /// The dataset that gets the questions, as one version.
    pub dataset_id: String,
    /// The knowledge base whose documents are asked about.
    pub knowledge_base_id: String,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// How questions are made.
    pub settings: Value,
    /// Who makes them.
    pub judge: Value,
    /// At most so many.
    pub questions: i64,
    /// Chunks that are asked about.
    pub chunks: i64,
    /// What it may cost.
    #[serde(
        rename(deserialize = "budget_pusd"),
        deserialize_with = "some_micros",
        default
    )]
    #[schemars(rename = "budget_usd_micros")]
    pub budget_usd_micros: Option<i64>,
    /// What its runs have cost so far.
    #[serde(
        rename(deserialize = "cost_pusd"),
        deserialize_with = "micros",
        default
    )]
    #[schemars(rename = "cost_usd_micros")]
    pub cost_usd_micros: i64,
    /// `{chunks, asked, made, failed}` so far.
    pub progress: Value,
    /// Once it has ended: questions that were `added`, `duplicates` of others, `unsupported` by their chunk; chunks that `failed`, with the
    /// `reason` of one; the `dataset_version` with the questions.
    pub outcome: Option<Value>,
    /// Why it failed: `budget` (the questions that there are were added), `nothing_added`, `owner_gone`.
    pub error: Option<Value>,
    /// The user as whom runs act: who made it.
    pub owner_id: Option<String>,
    /// The API key that they did it with.
    pub owner_key_id: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}
