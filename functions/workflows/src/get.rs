//! `GET /api/v1/workflows/{id}`

use crate::WorkflowsRead;
use crate::at::At;
use crate::model::Workflow;
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};

/// One workflow with its definition: an own one, or one that is shared with the caller.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
) -> Result<Json<Workflow>, Problem> {
    let found = At::read(&caller, &id, &[None]).await?;
    let current = found.version(None)?;
    let (definition, egress) = (current.definition.clone(), current.egress());
    let mut workflow = found.workflow.with(definition, found.role);
    workflow.egress = Some(egress);
    let tag = etag::of(workflow.version);
    Ok(Json::ok(workflow).header(header::ETAG, tag))
}
