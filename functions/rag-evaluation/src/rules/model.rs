//! Rules as the API shows them.

use nodeai_http::money;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

nodeai_store::columns! {
    /// Rules of online evaluation.
    eval_rules {
        id: Uuid, name: Text, paused: Bool, workflow_id: Uuid, deployment_id: Uuid, filter: Json, sample_rate: Text,
        metrics: TextArray, settings: Json, judge: Json, budget_pusd: Int, every_s: Int, dataset_id: Uuid, sampled: Int,
        skipped: Int, error: Json, owner_id: Uuid, owner_key_id: Uuid, version: Int, created_at: Time, updated_at: Time,
    }
}

pub use eval_rules as col;

/// What is shown of a rule.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::paused,
    col::workflow_id,
    col::deployment_id,
    col::filter,
    col::sample_rate,
    col::metrics,
    col::settings,
    col::judge,
    col::budget_pusd,
    col::every_s,
    col::dataset_id,
    col::sampled,
    col::skipped,
    col::error,
    col::owner_id,
    col::owner_key_id,
    col::version,
    col::created_at,
    col::updated_at,
];

fn some_micros<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let pusd = Option::<i64>::deserialize(from)?;
    Ok(pusd.map(money::usd_micros))
}

/// A rule of online evaluation.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// Nothing is sampled while it is. It pauses itself when its owner may not run workflows any more.
    pub paused: bool,
    /// The workflow whose traces are sampled.
    pub workflow_id: Option<String>,
    /// Or the deployment.
    pub deployment_id: Option<String>,
    /// Which of them: `{status?, tags?}`.
    pub filter: Value,
    /// The share that is sampled.
    pub sample_rate: f64,
    /// Names of the metrics.
    pub metrics: Vec<String>,
    /// Metrics with their settings, places, judges at once.
    pub settings: Value,
    /// Who judges.
    pub judge: Option<Value>,
    /// What judging may cost on a UTC day.
    #[serde(
        rename(deserialize = "budget_pusd"),
        deserialize_with = "some_micros",
        default
    )]
    #[schemars(rename = "budget_usd_micros")]
    pub budget_usd_micros: Option<i64>,
    /// Seconds between two looks.
    pub every_s: i64,
    /// The dataset that keeps the questions of sampled traces, for 30 days.
    pub dataset_id: String,
    /// Traces that were sampled.
    pub sampled: i64,
    /// Traces that were in the share and could not be read.
    pub skipped: i64,
    /// Why it rests: `budget` until the next UTC day, `owner_gone`.
    pub error: Option<Value>,
    /// The user as whom judges run: who made it, changed its judge, or let it go on, last.
    pub owner_id: Option<String>,
    /// The API key that they did it with.
    pub owner_key_id: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}
