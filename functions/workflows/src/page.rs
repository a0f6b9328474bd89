//! Pages of the lists that a SQL function reads, because they reach what is shared.

use crate::WorkflowsRead;
use nodeai_app::Caller;
use nodeai_http::Problem;
use nodeai_http::page::{Keyset, Page, checked_limit, decode_cursor};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of what `function` lists, of workflow `id` when there is one. Errors: 404 when the function says null.
pub async fn page<T: Serialize + DeserializeOwned>(
    caller: &Caller<WorkflowsRead>,
    function: &str,
    id: Option<&str>,
    paging: Paging,
    position: impl Fn(&T) -> String,
) -> Result<Page<T>, Problem> {
    let limit = checked_limit(paging.limit)?;
    let after: Option<Keyset> = paging.cursor.as_deref().map(decode_cursor).transpose()?;
    let args = json!({"id": id, "org_id": caller.org_id(), "before": after.map(|k| k.id), "limit": limit + 1});
    let rows: Option<Vec<T>> = caller.call(function, &args).await?;
    let rows = rows.ok_or_else(|| Problem::not_found("there is no such workflow"))?;
    let key = |row: &T| Keyset {
        at: String::new(),
        id: position(row),
    };
    Ok(Page::cut(rows, limit, key))
}
