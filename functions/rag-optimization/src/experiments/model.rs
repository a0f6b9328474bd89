//! Experiments as the API shows them.

use nodeai_http::money;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

nodeai_store::columns! {
    /// Experiments.
    experiments {
        id: Uuid, name: Text, knowledge_base_id: Uuid, dataset_id: Uuid, dataset_version: Int, status: Text, questions: Int,
        metric: Text, progress: Json, outcome: Json, error: Json, cost_pusd: Int, started_at: Time, finished_at: Time,
        applied_at: Time, rolled_back_at: Time, version: Int, created_at: Time, updated_at: Time, search_space: Json,
        baseline: Json, budget: Json, seed: Int, index_version: Int, base_search: Json, applied_search: Json, owner_id: Uuid,
        owner_key_id: Uuid,
    }
}

use experiments as col;

/// What is shown of an experiment, in a list as alone.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::knowledge_base_id,
    col::dataset_id,
    col::dataset_version,
    col::status,
    col::questions,
    col::metric,
    col::progress,
    col::outcome,
    col::error,
    col::cost_pusd,
    col::started_at,
    col::finished_at,
    col::applied_at,
    col::rolled_back_at,
    col::version,
    col::created_at,
    col::updated_at,
    col::search_space,
    col::baseline,
    col::budget,
    col::seed,
    col::index_version,
    col::base_search,
    col::applied_search,
    col::owner_id,
    col::owner_key_id,
];

fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    i64::deserialize(from).map(money::usd_micros)
}

/// An experiment.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// Whose search settings are tried.
    pub knowledge_base_id: String,
    /// The dataset that asks.
    pub dataset_id: String,
    /// Its version.
    pub dataset_version: i64,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// How many of its items are asked: those that say which documents are relevant.
    pub questions: i64,
    /// By which metric.
    pub metric: String,
    /// `{questions, retrieved, failed}` so far.
    pub progress: Value,
    /// Once it has ended: `verdict` (`gain` or `no significant gain`), `winner` and `baseline` (numbers of trials), the winner's
    /// `settings`, `finalists` held against the baseline on questions that the search has not seen (`trial`, `settings`, `difference`,
    /// `interval`, `p`, `p_holm`, `better`, `worse`), `rounds`, `front` (trials that no other one beats in quality, latency and cost),
    /// `questions` (`search`, `verdict`, `left_out`).
    pub outcome: Option<Value>,
    /// Why it failed: `budget`, `time`, `owner_gone`, `nothing_retrieved`.
    pub error: Option<Value>,
    /// What its searches have cost so far.
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
    /// When the winner became the base's default, RFC 3339.
    pub applied_at: Option<String>,
    /// When that was taken back, RFC 3339.
    pub rolled_back_at: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// What is tried.
    pub search_space: Value,
    /// What it is held against; the base's own search when null.
    pub baseline: Option<Value>,
    /// `{usd?, minutes?}`.
    pub budget: Value,
    /// The same seed on the same lists gives the same outcome.
    pub seed: i64,
    /// The index that was searched.
    pub index_version: i64,
    /// The base's search settings when the experiment was made: what `rollback` restores.
    pub base_search: Value,
    /// The base's search settings as `apply` made them.
    pub applied_search: Option<Value>,
    /// The user as whom runs act: who made it.
    pub owner_id: Option<String>,
    /// The API key that they did it with.
    pub owner_key_id: Option<String>,
}
