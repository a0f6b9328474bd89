//! `GET /api/v1/deployments/{id}/stats`

use crate::DeploymentsRead;
use nodeai_app::{Caller, PathId, Query, clock};
use nodeai_http::{Problem, reply::Json};
use nodeai_runs::model::Usage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The time to look at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatsQuery {
    /// From this time on (RFC 3339); a day before `to` unless given.
    from: Option<String>,
    /// Before this time (RFC 3339); now unless given.
    to: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    version: Option<i64>,
    runs: i64,
    succeeded: i64,
    failed: i64,
    cancelled: i64,
    error_rate: f64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    prompt_tokens: i64,
    completion_tokens: i64,
    cost_pusd: i64,
}

#[derive(Deserialize)]
struct Found {
    from_us: i64,
    to_us: i64,
    total: Counted,
    versions: Vec<Counted>,
}

/// What came through.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Traffic {
    /// The workflow's version; absent in the total.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// Runs that were started. What was refused before that is none.
    runs: i64,
    /// Those that ended well.
    succeeded: i64,
    /// Those that failed.
    failed: i64,
    /// Those that were cancelled.
    cancelled: i64,
    /// Failed of ended, 0 to 1.
    error_rate: f64,
    /// Half of the ended runs took at most this long.
    p50_ms: Option<f64>,
    /// 95 of 100 ended runs took at most this long.
    p95_ms: Option<f64>,
    /// Tokens and cost.
    usage: Usage,
}

impl From<Counted> for Traffic {
    fn from(c: Counted) -> Self {
        Self {
            version: c.version,
            runs: c.runs,
            succeeded: c.succeeded,
            failed: c.failed,
            cancelled: c.cancelled,
            error_rate: c.error_rate,
            p50_ms: c.p50_ms,
            p95_ms: c.p95_ms,
            usage: Usage::new(c.prompt_tokens, c.completion_tokens, c.cost_pusd),
        }
    }
}

/// Traffic and errors of a deployment.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stats {
    /// RFC 3339.
    from: String,
    /// RFC 3339.
    to: String,
    /// All versions together.
    total: Traffic,
    /// Each version that ran, newest first.
    versions: Vec<Traffic>,
}

/// Counts the runs of a time.
pub async fn handle(
    caller: Caller<DeploymentsRead>,
    PathId(id): PathId,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Stats>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id(), "from": query.from, "to": query.to});
    let found: Option<Found> = caller.call("deployment_stats", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such deployment"))?;
    Ok(Json::ok(Stats {
        from: clock::rfc3339(found.from_us),
        to: clock::rfc3339(found.to_us),
        total: found.total.into(),
        versions: found.versions.into_iter().map(Traffic::from).collect(),
    }))
}
