//! `GET /api/v1/workflows/{id}`

use crate::WorkflowsRead;
use crate::at::At;
use crate::document::Egress;
use crate::model::{ALL, Workflow};
use http::header;
use nodeai_app::{Caller, PathId, store_problem};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select, tables::workflows as col};

/// One workflow with its definition: an own one, or one that is shared with the caller.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
) -> Result<Json<Workflow>, Problem> {
    // Row security lets shared ones through as well; those come with their role, below.
    let query = Select::from(col::TABLE, ALL)
        .filter(Filter::Eq(col::org_id, caller.org_id().to_owned()))
        .filter(Filter::Eq(col::id, id.clone()))
        .filter(Filter::IsNull(col::deleted_at));
    let own: Option<Workflow> = caller.session.one(query).await.map_err(store_problem)?;
    let mut workflow = match own {
        Some(workflow) => workflow,
        None => shared(&caller, &id).await?,
    };
    workflow.egress = Some(Egress::of(&workflow.definition));
    let tag = etag::of(workflow.version);
    Ok(Json::ok(workflow).header(header::ETAG, tag))
}

async fn shared(caller: &Caller<WorkflowsRead>, id: &str) -> Result<Workflow, Problem> {
    let found = At::read(caller, id, &[None]).await?;
    let definition = found.version(None)?.definition.clone();
    Ok(found.workflow.with(definition, found.role))
}
