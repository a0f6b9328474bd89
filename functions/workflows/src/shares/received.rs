//! `GET /api/v1/workflows/shared`

use super::Role;
use crate::WorkflowsRead;
use crate::model::WorkflowBrief;
use crate::page::{Paging, page};
use nodeai_app::{Caller, Query};
use nodeai_http::Problem;
use nodeai_http::page::Page;
use nodeai_http::reply::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A workflow that somebody shares with the caller.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// Id of the share.
    share_id: String,
    /// What the caller may do.
    role: Role,
    /// When it ends, RFC 3339; null for never.
    expires_at: Option<String>,
    /// Since when, RFC 3339.
    shared_at: String,
    /// The workflow.
    workflow: WorkflowBrief,
}

/// What others share with the caller, whichever organisation is chosen; the newest share first.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Received>>, Problem> {
    let position = |row: &Received| row.share_id.clone();
    let shared = page(&caller, "workflows_shared", None, paging, position).await?;
    Ok(Json::ok(shared))
}
