//! `GET /api/v1/api-keys/{id}`

use crate::KeysRead;
use crate::model::{Key, SHOWN, api_keys};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One key: an own one, for admins any of the organisation.
pub async fn handle(caller: Caller<KeysRead>, PathId(id): PathId) -> Result<Json<Key>, Problem> {
    let query = Select::from(api_keys::TABLE, SHOWN).filter(Filter::Eq(api_keys::id, id));
    let key: Key = caller.find(query, "API key").await?;
    let tag = etag::of(key.version);
    Ok(Json::ok(key).header(header::ETAG, tag))
}
