//! `GET /api/v1/api-keys`

use crate::KeysRead;
use crate::model::{Key, SHOWN, api_keys};
use nodeai_app::{Caller, Query, clock};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Text in the name, ignoring case.
    name: Option<String>,
    /// Only keys in this state.
    status: Option<Status>,
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It can.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// The caller's keys; for admins all of the organisation.
pub async fn handle(
    caller: Caller<KeysRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Key>>, Problem> {
    let now = clock::rfc3339(caller.cx.started_us);
    let alive = Filter::IsNull(api_keys::revoked_at);
    let state = query.status.map(|status| match status {
        Status::Active => Filter::And(vec![
            alive,
            Filter::Or(vec![
                Filter::IsNull(api_keys::expires_at),
                Filter::Gt(api_keys::expires_at, now),
            ]),
        ]),
        Status::Expired => Filter::And(vec![alive, Filter::Lte(api_keys::expires_at, now)]),
        Status::Revoked => Filter::Lte(api_keys::revoked_at, now),
    });
    let select = Select::from(api_keys::TABLE, SHOWN)
        .filter_if(
            query
                .name
                .map(|text| Filter::ContainsText(api_keys::name, text)),
        )
        .filter_if(state);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, api_keys::id, page, |key: &Key| &key.id)
        .await
}
