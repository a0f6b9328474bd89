//! `GET /api/v1/oauth/connections/{id}`

use crate::OauthRead;
use crate::model::{CONNECTION, Connection, connections};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One's own, or one that is shared.
pub async fn handle(
    caller: Caller<OauthRead>,
    PathId(id): PathId,
) -> Result<Json<Connection>, Problem> {
    let query =
        Select::from(connections::TABLE, CONNECTION).filter(Filter::Eq(connections::id, id));
    let found: Connection = caller.find(query, "connection").await?;
    let tag = etag::of(found.version);
    Ok(Json::ok(found).header(header::ETAG, tag))
}
