//! Evaluations as the API shows them.

use nodeai_http::money;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

nodeai_store::columns! {
    /// Evaluations.
    evaluations {
        id: Uuid, name: Text, dataset_id: Uuid, dataset_version: Int, status: Text, items: Int, metrics: TextArray,
        progress: Json, summary: Json, error: Json, cost_pusd: Int, started_at: Time, finished_at: Time, version: Int,
        created_at: Time, updated_at: Time, target: Json, settings: Json, judge: Json, budget_pusd: Int, owner_id: Uuid,
        owner_key_id: Uuid, rule_id: Uuid, study_id: Uuid,
    }
}

use evaluations as col;

/// What is shown of an evaluation in a list.
pub const BRIEF: &[Column] = &[
    col::id,
    col::name,
    col::dataset_id,
    col::dataset_version,
    col::status,
    col::items,
    col::metrics,
    col::progress,
    col::summary,
    col::error,
    col::cost_pusd,
    col::started_at,
    col::finished_at,
    col::version,
    col::created_at,
    col::updated_at,
    col::rule_id,
    col::study_id,
];

/// What is shown of one.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::dataset_id,
    col::dataset_version,
    col::status,
    col::items,
    col::metrics,
    col::progress,
    col::summary,
    col::error,
    col::cost_pusd,
    col::started_at,
    col::finished_at,
    col::version,
    col::created_at,
    col::updated_at,
    col::rule_id,
    col::study_id,
    col::target,
    col::settings,
    col::judge,
    col::budget_pusd,
    col::owner_id,
    col::owner_key_id,
];

fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    i64::deserialize(from).map(money::usd_micros)
}

fn some_micros<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    let pusd = Option::<i64>::deserialize(from)?;
    Ok(pusd.map(money::usd_micros))
}

/// An evaluation in a list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Brief {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// The dataset that asks.
    pub dataset_id: String,
    /// Its version.
    pub dataset_version: Option<i64>,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// How many items are asked.
    pub items: i64,
    /// Names of the metrics.
    pub metrics: Vec<String>,
    /// `{items, answered, results, of}`: answers and results so far.
    pub progress: Value,
    /// Once it has ended: `[{metric, mean, n, interval, failed, lower_is_better}]`. What has no score is not in the mean.
    pub summary: Option<Value>,
    /// Why it failed: `budget`, `owner_gone`, `nothing_scored`, `missing`, `forbidden`, `archived`, `paused`.
    pub error: Option<Value>,
    /// What its runs have cost so far, those of the judge included.
    #[serde(
        rename(deserialize = "cost_pusd"),
        deserialize_with = "micros",
        default
    )]
    #[schemars(rename = "cost_usd_micros")]
    pub cost_usd_micros: i64,
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
    /// The rule that sampled its answers.
    pub rule_id: Option<String>,
    /// The study that made it.
    pub study_id: Option<String>,
}

/// An evaluation.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Evaluation {
    #[serde(flatten)]
    pub brief: Brief,
    /// What is evaluated.
    pub target: Value,
    /// Metrics with their settings, places, runs at once.
    pub settings: Value,
    /// Who judges.
    pub judge: Option<Value>,
    /// What it may cost.
    #[serde(
        rename(deserialize = "budget_pusd"),
        deserialize_with = "some_micros",
        default
    )]
    #[schemars(rename = "budget_usd_micros")]
    pub budget_usd_micros: Option<i64>,
    /// The user as whom runs act: who made it.
    pub owner_id: Option<String>,
    /// The API key that they did it with.
    pub owner_key_id: Option<String>,
}
