//! `GET /api/v1/workflows/{id}/versions` and `…/versions/{number}`

use crate::WorkflowsRead;
use crate::at::{At, Version};
use crate::document::Egress;
use crate::page::{Paging, page};
use crate::path::Number;
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::Problem;
use nodeai_http::page::Page;
use nodeai_http::reply::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A version in a list: without its document.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct VersionBrief {
    /// Its number, from 1.
    number: i64,
    /// Note of whoever saved it.
    message: Option<String>,
    /// The user who saved it.
    author: Option<String>,
    /// The version that it was made from; null for the first one.
    parent: Option<i64>,
    /// RFC 3339.
    created_at: String,
    /// The hosts that its runs reach; null for one that was saved without: read it by itself.
    #[serde(default)]
    egress: Option<Egress>,
}

/// The versions of a workflow, newest first.
pub async fn list(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<VersionBrief>>, Problem> {
    let position = |version: &VersionBrief| version.number.to_string();
    let versions = page(&caller, "workflow_history", Some(&id), paging, position).await?;
    Ok(Json::ok(versions))
}

/// One version, with its document.
pub async fn one(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
    Number(number): Number,
) -> Result<Json<Version>, Problem> {
    let found = At::read(&caller, &id, &[Some(number)]).await?;
    let mut version = found.version(Some(number))?.clone();
    version.egress = Some(version.egress());
    Ok(Json::ok(version))
}
