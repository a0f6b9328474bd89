//! `GET /api/v1/traces/archives`

use super::trace_archives as col;
use crate::TracesRead;
use nodeai_app::{Caller, Query};
use nodeai_http::page::Page;
use nodeai_http::{Problem, reply::Json};
use nodeai_store::{Column, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const SHOWN: &[Column] = &[
    col::id,
    col::day,
    col::status,
    col::spans,
    col::size_bytes,
    col::sha256,
    col::created_at,
    col::finished_at,
];

/// A day of spans in the object store.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Archive {
    /// Id (UUIDv7).
    id: String,
    /// The day in UTC, such as `2026-11-26`.
    day: String,
    /// `writing` or `done`.
    status: String,
    /// How many spans it has; null until it is done.
    spans: Option<i64>,
    /// Size as it is stored, bytes.
    size_bytes: Option<i64>,
    /// SHA-256 of what is stored, hex.
    sha256: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    finished_at: Option<String>,
}

/// Paging.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchivesQuery {
    /// Rows per page: 1 to 200, 50 unless given.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What is kept, the last first.
pub async fn handle(
    caller: Caller<TracesRead>,
    Query(query): Query<ArchivesQuery>,
) -> Result<Json<Page<Archive>>, Problem> {
    let select = Select::from(col::TABLE, SHOWN);
    let page = (query.limit, query.cursor);
    caller
        .newest(select, col::id, page, |archive: &Archive| &archive.id)
        .await
}
