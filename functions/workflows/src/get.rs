//! `GET /api/v1/workflows/{id}`

use crate::WorkflowsRead;
use crate::model::{ALL, Workflow};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select, tables::workflows as col};

/// One workflow with its definition.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
) -> Result<Json<Workflow>, Problem> {
    let query = Select::from(col::TABLE, ALL)
        .filter(Filter::Eq(col::id, id))
        .filter(Filter::IsNull(col::deleted_at));
    let workflow: Workflow = caller.find(query, "workflow").await?;
    let tag = etag::of(workflow.version);
    Ok(Json::ok(workflow).header(header::ETAG, tag))
}
