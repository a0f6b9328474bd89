//! `GET /api/v1/webhooks`

use crate::WebhooksRead;
use crate::model::{SHOWN, Webhook, webhooks as col};
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first.
pub async fn handle(
    caller: Caller<WebhooksRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Webhook>>, Problem> {
    let page = (query.limit, query.cursor);
    let outgoing = Filter::Eq(col::direction, "out".to_owned());
    let select = Select::from(col::TABLE, SHOWN).filter(outgoing);
    caller
        .newest(select, col::id, page, |webhook: &Webhook| &webhook.id)
        .await
}
