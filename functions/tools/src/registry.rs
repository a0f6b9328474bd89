//! `GET /api/v1/tools`, `GET` and `DELETE /api/v1/tools/{id}`

use crate::model::{Kind, SHOWN, Tool, tools as col};
use crate::{ToolsRead, ToolsWrite};
use http::header;
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Query, Write};
use nodeai_http::page::Page;
use nodeai_http::{Problem, etag, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only this kind.
    kind: Option<Kind>,
    /// Only those that may be called, or may not.
    enabled: Option<bool>,
    /// Part of the name.
    name: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first.
pub async fn list(
    caller: Caller<ToolsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Tool>>, Problem> {
    let kind = query.kind.map(|kind| kind.as_str().to_owned());
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(kind.map(|kind| Filter::Eq(col::kind, kind)))
        .filter_if(
            query
                .enabled
                .map(|on| Filter::Eq(col::enabled, on.to_string())),
        )
        .filter_if(query.name.map(|part| Filter::ContainsText(col::name, part)));
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |tool: &Tool| &tool.id)
        .await
}

/// One tool.
pub async fn get(caller: Caller<ToolsRead>, PathId(id): PathId) -> Result<Json<Tool>, Problem> {
    let select = Select::from(col::TABLE, SHOWN).filter(Filter::Eq(col::id, id));
    let found: Tool = caller.find(select, "tool").await?;
    let tag = etag::of(found.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}

/// Removes a tool.
pub async fn remove(
    caller: Caller<ToolsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "tool", &id)
        .expect_version(expected)
        .audit("tool.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
