//! `GET /api/v1/oauth/providers/{id}`

use crate::OauthRead;
use crate::model::{PROVIDER, ProviderShown, oauth_providers};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use nodeai_store::{Filter, Select};

/// One provider.
pub async fn handle(
    caller: Caller<OauthRead>,
    PathId(id): PathId,
) -> Result<Json<ProviderShown>, Problem> {
    let query = Select::from(oauth_providers::TABLE, PROVIDER);
    let query = query.filter(Filter::Eq(oauth_providers::id, id));
    let provider: ProviderShown = caller.find(query, "provider").await?;
    let tag = etag::of(provider.version);
    Ok(Json::ok(provider).header(header::ETAG, tag))
}
