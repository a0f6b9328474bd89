//! `GET /api/v1/files`

use crate::FilesRead;
use crate::model::{File, SHOWN, files as col};
use crate::rules::parameter;
use nodeai_app::inputs::uuid_filter;
use nodeai_app::{Caller, Query, clock};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::Deserialize;

/// Filters and paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Names that have this in them, whatever the case.
    search: Option<String>,
    /// In this folder, not in those below it.
    folder: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// A media type, or its first part with a star: `image/*`.
    content_type: Option<String>,
    /// With this content, SHA-256 as hex.
    sha256: Option<String>,
    /// Uploaded by this user.
    user_id: Option<String>,
    /// Smallest size, bytes.
    min_size: Option<u64>,
    /// Largest size, bytes.
    max_size: Option<u64>,
    /// Uploaded at or after, RFC 3339.
    created_after: Option<String>,
    /// Uploaded before, RFC 3339.
    created_before: Option<String>,
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn time(name: &'static str, given: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = given else { return Ok(None) };
    match clock::parse_rfc3339(&text) {
        Some(us) => Ok(Some(clock::rfc3339(us))),
        None => Err(parameter(name, "format", "must be a time in RFC 3339")),
    }
}

fn size(column: Column, bytes: u64) -> (Column, String) {
    (column, bytes.min(i64::MAX as u64).to_string())
}

/// A type, or all that begin with `image/` for `image/*`. No other type has that in it, and an order of texts would depend on
/// the database's collation.
fn of_type(wanted: String) -> Filter {
    match wanted.strip_suffix('*') {
        Some(kind) if kind.ends_with('/') => {
            Filter::ContainsText(col::content_type, kind.to_owned())
        }
        _ => Filter::Eq(col::content_type, wanted),
    }
}

/// Newest first.
pub async fn handle(
    caller: Caller<FilesRead>,
    Query(q): Query<ListQuery>,
) -> Result<Json<Page<File>>, Problem> {
    let after = time("created_after", q.created_after)?;
    let before = time("created_before", q.created_before)?;
    let select = Select::from(col::TABLE, SHOWN)
        .filter(Filter::IsNull(col::deleted_at))
        .filter_if(q.search.map(|text| Filter::ContainsText(col::name, text)))
        .filter_if(q.folder.map(|folder| Filter::Eq(col::folder, folder)))
        .filter_if(q.tag.map(|tag| Filter::HasElement(col::tags, tag)))
        .filter_if(q.content_type.map(of_type))
        .filter_if(
            q.sha256
                .map(|hash| Filter::Eq(col::sha256, hash.to_lowercase())),
        )
        .filter_if(uuid_filter(col::user_id, q.user_id)?)
        .filter_if(
            q.min_size
                .map(|n| size(col::size_bytes, n))
                .map(|(c, v)| Filter::Gte(c, v)),
        )
        .filter_if(
            q.max_size
                .map(|n| size(col::size_bytes, n))
                .map(|(c, v)| Filter::Lte(c, v)),
        )
        .filter_if(after.map(|at| Filter::Gte(col::created_at, at)))
        .filter_if(before.map(|at| Filter::Lt(col::created_at, at)));
    let page = (q.limit, q.cursor);
    caller
        .newest(select, col::id, page, |file: &File| &file.id)
        .await
}
