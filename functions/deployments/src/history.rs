//! `GET /api/v1/deployments/{id}/history`

use crate::DeploymentsRead;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

nodeai_store::columns! {
    /// Changes of deployments.
    deployment_history {
        deployment_id: Uuid, number: Int, action: Text, from_version: Int, to_version: Int, details: Json,
        created_by: Uuid, created_at: Time,
    }
}
use deployment_history as col;

const SHOWN: &[Column] = &[
    col::number,
    col::action,
    col::from_version,
    col::to_version,
    col::details,
    col::created_by,
    col::created_at,
];

/// A change.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The deployment's version that it made.
    number: i64,
    /// `create`, `publish`, `promote`, `rollback`, `canary`, `pause`, `resume` or `configure`.
    action: String,
    /// The version that ran before; null for what was new.
    from_version: Option<i64>,
    /// The version that ran after.
    to_version: i64,
    /// More about it, such as version and percent of a canary.
    details: Value,
    /// Who.
    created_by: Option<String>,
    /// RFC 3339.
    created_at: String,
}

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first. A deployment always has one change: none means that there is no such deployment here.
pub async fn handle(
    caller: Caller<DeploymentsRead>,
    PathId(id): PathId,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Change>>, Problem> {
    let limit = checked_limit(query.limit)?;
    let after: Option<Keyset> = query.cursor.as_deref().map(decode_cursor).transpose()?;
    let first_page = after.is_none();
    let select = Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::deployment_id, id))
        .newest(col::number, after.map(|k| k.id), limit + 1);
    let rows: Vec<Change> = caller.select(select).await?;
    if rows.is_empty() && first_page {
        return Err(Problem::not_found("there is no such deployment"));
    }
    let position = |row: &Change| Keyset {
        at: String::new(),
        id: row.number.to_string(),
    };
    Ok(Json::ok(Page::cut(rows, limit, position)))
}
