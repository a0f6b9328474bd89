//! `GET /api/v1/webhooks/{id}`

use crate::WebhooksRead;
use crate::model::{SHOWN, Webhook, webhooks as col};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One webhook, without its secret.
pub async fn handle(
    caller: Caller<WebhooksRead>,
    PathId(id): PathId,
) -> Result<Json<Webhook>, Problem> {
    let query = Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::id, id))
        .filter(Filter::Eq(col::direction, "out".to_owned()));
    let webhook: Webhook = caller.find(query, "webhook").await?;
    let tag = etag::of(webhook.version);
    Ok(Json::ok(webhook).header(header::ETAG, tag))
}
