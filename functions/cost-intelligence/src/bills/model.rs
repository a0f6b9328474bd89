//! Reconciliations as the API shows them.

use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Reconciliations.
    cost_reconciliations {
        id: Uuid, provider: Text, source: Text, from_at: Time, to_at: Time, result: Json, version: Int, created_at: Time,
    }
}

use cost_reconciliations as col;

/// What is shown.
pub const COLUMNS: &[Column] = &[
    col::id,
    col::provider,
    col::source,
    col::from_at,
    col::to_at,
    col::result,
    col::version,
    col::created_at,
];

/// A reconciliation.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reconciliation {
    /// Id (UUIDv7).
    pub id: String,
    /// The provider.
    provider: String,
    /// What the export is called.
    source: String,
    /// RFC 3339.
    from_at: String,
    /// RFC 3339.
    to_at: String,
    /// Both sides.
    result: Outcome,
    /// Always 1: it does not change.
    version: i64,
    /// RFC 3339.
    created_at: String,
}

/// Both sides.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Whether every bucket of every model is the same.
    pub agrees: bool,
    /// Tokens by model and bucket; buckets that are empty on both sides are left out.
    pub tokens: Vec<Bucket>,
    /// Costs by model, where the export has them.
    pub costs: Vec<Cost>,
}

/// One bucket of one model.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// The model.
    pub model: String,
    /// `uncached`, `cache_read`, `cache_write`, `cache_write_1h`, `audio_input`, `output` or `audio_output`. Exports do not tell
    /// reasoning and pictures apart, so these are in `output` and `uncached`.
    pub bucket: String,
    /// Tokens that the provider counts.
    pub provider: i64,
    /// Tokens that were counted here.
    pub counted: i64,
    /// The provider's less ours: what was called past us, or not counted.
    pub difference: i64,
}

/// The cost of one model.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// The model.
    pub model: String,
    /// USD that the provider asks for, exact.
    pub provider_usd: String,
    /// USD that were reckoned here, exact.
    pub counted_usd: String,
    /// The provider's less ours.
    pub difference_usd: String,
}
