//! `GET /api/v1/deployments/{id}`

use crate::DeploymentsRead;
use crate::model::{Deployment, SHOWN, deployments};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One deployment.
pub async fn handle(
    caller: Caller<DeploymentsRead>,
    PathId(id): PathId,
) -> Result<Json<Deployment>, Problem> {
    let query = Select::from(deployments::TABLE, SHOWN).filter(Filter::Eq(deployments::id, id));
    let deployment: Deployment = caller.find(query, "deployment").await?;
    let tag = etag::of(deployment.version);
    Ok(Json::ok(deployment).header(header::ETAG, tag))
}
