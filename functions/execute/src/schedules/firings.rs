//! `GET /api/v1/workflows/execute/schedules/{id}/firings`

use super::SchedulesRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FiringsQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What became of an instant.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Firing {
    /// Id (UUIDv7).
    id: String,
    /// The instant by the expression; of missed ones the newest. RFC 3339.
    scheduled_at: String,
    /// When that was, RFC 3339.
    fired_at: String,
    /// `started`; `repeated` (it had been started before); `overlapped` (the run before had not ended); `missed`; or why
    /// nothing runs: `owner_gone`, `forbidden`, `missing`, `paused` (the deployment), `archived`.
    outcome: String,
    /// Of `missed`: how many instants.
    count: i64,
    /// The run.
    execution_id: Option<String>,
    /// What the run is at.
    status: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    firings: Vec<Firing>,
}

/// What became of a schedule's instants, newest first; the last 200 are kept.
pub async fn handle(
    caller: Caller<SchedulesRead>,
    PathId(id): PathId,
    Query(query): Query<FiringsQuery>,
) -> Result<Json<Page<Firing>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let before: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let args = json!({"id": id, "org_id": caller.org_id(), "before": before.map(|k| k.id), "limit": limit + 1});
    let found: Option<Found> = caller.call("schedule_history", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such schedule"))?;
    let position = |firing: &Firing| Keyset {
        at: String::new(),
        id: firing.id.clone(),
    };
    Ok(Json::ok(Page::cut(found.firings, limit, position)))
}
