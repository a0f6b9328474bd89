//! `GET /api/v1/secrets/access-log`

use crate::SecretsRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// One row per opening.
    secret_access_log {
        id: Uuid, secret_id: Uuid, number: Int, connection_id: Uuid, user_id: Uuid, key_id: Uuid, execution_id: Uuid, node_id: Text,
        purpose: Text, at: Time,
    }
}
use secret_access_log as col;

const SHOWN: &[Column] = &[
    col::id,
    col::secret_id,
    col::number,
    col::connection_id,
    col::user_id,
    col::key_id,
    col::execution_id,
    col::node_id,
    col::purpose,
    col::at,
];

/// One opening of a secret or of a connected account's tokens.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Access {
    /// Id (UUIDv7).
    id: String,
    /// The secret.
    secret_id: Option<String>,
    /// Its version.
    number: Option<i64>,
    /// The connected account.
    connection_id: Option<String>,
    /// Who.
    user_id: Option<String>,
    /// With which API key.
    key_id: Option<String>,
    /// For which run.
    execution_id: Option<String>,
    /// For which node of it.
    node_id: Option<String>,
    /// `run`, `reveal`, `oauth`, `refresh` or `revoke`.
    purpose: String,
    /// RFC 3339.
    at: String,
}

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only this secret's (UUID).
    secret_id: Option<String>,
    /// Only this connected account's (UUID).
    connection_id: Option<String>,
    /// Only this run's (UUID).
    execution_id: Option<String>,
}

/// Newest first; for admins.
pub async fn handle(
    caller: Caller<SecretsRead>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Access>>, Problem> {
    let select = Select::from(col::TABLE, SHOWN)
        .filter_if(uuid_filter(col::secret_id, query.secret_id)?)
        .filter_if(uuid_filter(col::connection_id, query.connection_id)?)
        .filter_if(uuid_filter(col::execution_id, query.execution_id)?);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |row: &Access| &row.id)
        .await
}
