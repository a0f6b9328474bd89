//! `GET /api/v1/traces/{trace_id}/shares`

use super::Share;
use crate::TracesRead;
use crate::load;
use nodeai_app::{Caller, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharesQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first; those that are over too, never their tokens.
pub async fn handle(
    caller: Caller<TracesRead>,
    Query(query): Query<SharesQuery>,
) -> Result<Json<Page<Share>>, Problem> {
    let trace_id = load::trace_id(caller.cx.parameter("trace_id"))?;
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let args = json!({"org_id": caller.org_id(), "trace_id": trace_id, "before": after.map(|k| k.id), "limit": limit + 1});
    let rows: Option<Vec<Share>> = caller.call("trace_shares_of", &args).await?;
    let position = |share: &Share| Keyset {
        at: String::new(),
        id: share.id.clone(),
    };
    let rows = rows.ok_or_else(load::missing)?;
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
