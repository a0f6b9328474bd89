//! `GET /api/v1/secrets`

use crate::SecretsRead;
use crate::create::Environment;
use crate::model::{SHOWN, Secret, secrets_vault as col};
use nodeai_app::{Caller, Query};
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
    /// Only this environment's; empty for those of all.
    environment: Option<Environment>,
}

/// Newest first.
pub async fn handle(
    caller: Caller<SecretsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Secret>>, Problem> {
    let environment = query.environment.map(|e| e.as_str().to_owned());
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(query.name.map(|text| Filter::ContainsText(col::name, text)))
        .filter_if(environment.map(|name| Filter::Eq(col::environment, name)));
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |secret: &Secret| &secret.id)
        .await
}
