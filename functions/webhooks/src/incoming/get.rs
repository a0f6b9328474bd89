//! `GET /api/v1/webhooks/incoming/{id}`

use super::model::{Incoming, READ, Row, webhooks as col};
use crate::WebhooksRead;
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One incoming webhook, without its secret.
pub async fn handle(
    caller: Caller<WebhooksRead>,
    PathId(id): PathId,
) -> Result<Json<Incoming>, Problem> {
    let query = Select::from(col::TABLE, READ)
        .filter(Filter::Eq(col::id, id))
        .filter(Filter::Eq(col::direction, "in".to_owned()));
    let row: Row = caller.find(query, "webhook").await?;
    let tag = etag::of(row.version);
    Ok(Json::ok(Incoming::from(row)).header(header::ETAG, tag))
}
