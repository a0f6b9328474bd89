//! `GET /api/v1/workflows/{id}/shares`

use super::Share;
use crate::WorkflowsRead;
use crate::page::{Paging, page};
use nodeai_app::{Caller, PathId, Query};
use nodeai_http::Problem;
use nodeai_http::page::Page;
use nodeai_http::reply::Json;

/// The shares of an own workflow, newest first; those that are over too.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Share>>, Problem> {
    let position = |share: &Share| share.id.clone();
    let shares = page(&caller, "workflow_shares_of", Some(&id), paging, position).await?;
    Ok(Json::ok(shares))
}
