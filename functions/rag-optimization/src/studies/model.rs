//! Studies as the API shows them.

use nodeai_http::money;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

nodeai_store::columns! {
    /// Studies.
    studies {
        id: Uuid, name: Text, workflow_id: Uuid, workflow_version: Int, dataset_id: Uuid, dataset_version: Int, status: Text,
        parameters: Json, target: Json, settings: Json, judge: Json, budget: Json, seed: Int, trials: Int, progress: Json,
        outcome: Json, error: Json, cost_pusd: Int, retune: Json, repeats: Uuid, owner_id: Uuid, owner_key_id: Uuid,
        applied_at: Time, applied_version: Int, rolled_back_at: Time, started_at: Time, finished_at: Time, version: Int,
        created_at: Time, updated_at: Time,
    }
}

pub use studies as col;

/// What is shown of a study, in a list as alone.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::workflow_id,
    col::workflow_version,
    col::dataset_id,
    col::dataset_version,
    col::status,
    col::parameters,
    col::target,
    col::settings,
    col::judge,
    col::budget,
    col::seed,
    col::trials,
    col::progress,
    col::outcome,
    col::error,
    col::cost_pusd,
    col::retune,
    col::repeats,
    col::owner_id,
    col::owner_key_id,
    col::applied_at,
    col::applied_version,
    col::rolled_back_at,
    col::started_at,
    col::finished_at,
    col::version,
    col::created_at,
    col::updated_at,
];

fn micros<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    i64::deserialize(from).map(money::usd_micros)
}

/// A study.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Study {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// Whose parameters are tried.
    pub workflow_id: String,
    /// Its version.
    pub workflow_version: i64,
    /// The dataset that asks.
    pub dataset_id: String,
    /// Its version.
    pub dataset_version: i64,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// What is tried.
    pub parameters: Value,
    /// What goes into each run.
    pub target: Value,
    /// `screen` (what scores the search), `metric` (what finalists are held against the workflow by), and how runs are made.
    pub settings: Value,
    /// Who judges.
    pub judge: Option<Value>,
    /// `{usd?, minutes?}`.
    pub budget: Value,
    /// The same seed asks the same questions.
    pub seed: i64,
    /// How many trials there are, the workflow as it is included.
    pub trials: i64,
    /// `{trials, evaluations, answers, part}` so far; its evaluations are in `GET /api/v1/rag-evaluation/evaluations?study_id=…`.
    pub progress: Value,
    /// Once it has succeeded: `verdict` (`gain` or `no significant gain`), `winner` and `baseline` (numbers of trials), the winner's
    /// `settings`, `finalists` (`trial`, `settings`, `difference`, `interval`, `p`, `p_holm`, `n`, `better`, `worse`), `rounds`, `front`
    /// (trials that no other one beats in quality, latency and cost), `questions` (`search`, `verdict`), `evaluations` (answers that were
    /// scored), `metrics`; `not_applied` where a gain could not be applied by itself.
    pub outcome: Option<Value>,
    /// Why it failed: `budget`, `time`, `owner_gone`, `nothing_scored`, `cancelled`, or why an evaluation of it was ended.
    pub error: Option<Value>,
    /// What its runs have cost so far, those of judges included.
    #[serde(
        rename(deserialize = "cost_pusd"),
        deserialize_with = "micros",
        default
    )]
    #[schemars(rename = "cost_usd_micros")]
    pub cost_usd_micros: i64,
    /// How it is repeated.
    pub retune: Option<Value>,
    /// The study that this one repeats.
    pub repeats: Option<String>,
    /// The user as whom runs act: who made it.
    pub owner_id: Option<String>,
    /// The API key that they did it with.
    pub owner_key_id: Option<String>,
    /// When the winner became the workflow's next version, RFC 3339.
    pub applied_at: Option<String>,
    /// That version.
    pub applied_version: Option<i64>,
    /// When that was taken back, RFC 3339.
    pub rolled_back_at: Option<String>,
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
