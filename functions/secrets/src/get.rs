//! `GET /api/v1/secrets/{id}`

use crate::SecretsRead;
use crate::model::{SHOWN, Secret, secrets_vault};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One secret.
pub async fn handle(
    caller: Caller<SecretsRead>,
    PathId(id): PathId,
) -> Result<Json<Secret>, Problem> {
    let query = Select::from(secrets_vault::TABLE, SHOWN).filter(Filter::Eq(secrets_vault::id, id));
    let secret: Secret = caller.find(query, "secret").await?;
    let tag = etag::of(secret.version);
    Ok(Json::ok(secret).header(header::ETAG, tag))
}
