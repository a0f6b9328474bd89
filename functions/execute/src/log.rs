//! `GET /api/v1/workflows/execute/{id}/log`

use crate::{WorkflowsRead, recording};
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{FieldError, Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Events per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Events in their order: `seq`, `at_us`, `event`, and what belongs to it. Of a run that is under way, those that are stored.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
    Query(query): Query<LogQuery>,
) -> Result<Json<Page<Value>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let first = after.map_or(Ok(0), |after| next(&after))?;
    let last = first.saturating_add(limit.into());
    let recorded = recording::read(&caller, &id, (first, last)).await?;
    let events = recorded.recording.events().iter();
    let events = events.filter(|event| (first..=last).contains(&event.seq));
    let events = events.map(|event| json!(event)).collect();
    Ok(Json::ok(Page::cut(events, limit, |event| Keyset {
        at: String::new(),
        id: event["seq"].to_string(),
    })))
}

fn next(after: &Keyset) -> Result<u64, Problem> {
    let seq: Option<u32> = after.id.parse().ok();
    let seq = seq.ok_or_else(|| {
        let detail = "the cursor is not one that this API gave";
        Problem::fields(vec![FieldError::parameter("cursor", "invalid", detail)])
    })?;
    Ok(u64::from(seq) + 1)
}
