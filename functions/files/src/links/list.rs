//! `GET /api/v1/files/links`

use crate::FilesRead;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Links, without their tokens.
    file_links {
        id: Uuid, file_id: Uuid, inline: Bool, expires_at: Time, last_used_at: Time, used_count: Int, created_by: Uuid,
        created_at: Time,
    }
}

use file_links as col;

const SHOWN: &[Column] = &[
    col::id,
    col::file_id,
    col::inline,
    col::expires_at,
    col::last_used_at,
    col::used_count,
    col::created_by,
    col::created_at,
];

/// A link, without its URL.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Id (UUIDv7).
    id: String,
    /// The file.
    file_id: String,
    /// Whether the content is shown instead of saved.
    inline: bool,
    /// When it ends, RFC 3339.
    expires_at: String,
    /// When it was last followed, RFC 3339.
    last_used_at: Option<String>,
    /// How often it was followed.
    used_count: i64,
    /// Who made it.
    created_by: Option<String>,
    /// RFC 3339.
    created_at: String,
}

/// Filter and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinksQuery {
    /// Of this file.
    file_id: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Newest first; also those that have expired, until they are cleared away.
pub async fn handle(
    caller: Caller<FilesRead>,
    Query(query): Query<LinksQuery>,
) -> Result<Json<Page<Link>>, Problem> {
    let of_file = uuid_filter(col::file_id, query.file_id)?;
    let select = Select::from(col::TABLE, SHOWN).filter_if(of_file);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |link: &Link| &link.id)
        .await
}
