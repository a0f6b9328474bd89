//! Documents of a knowledge base.

pub mod add;
pub mod answers;
pub mod change;
pub mod chunks;
pub mod files;
pub mod get;
pub mod list;
pub mod sync;

use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

nodeai_store::columns! {
    /// Documents.
    documents {
        id: Uuid, knowledge_base_id: Uuid, title: Text, source_kind: Text, source_uri: Text, file_id: Uuid,
        content_type: Text, content_hash: Text, content: Text, pending_content: Text, metadata: Json, status: Text,
        progress: Json, error: Json, chunk_count: Int, origin_id: Uuid, connector: Text, access: TextArray, fetched_at: Time, version: Int, created_at: Time,
        updated_at: Time,
    }
}

use documents as col;

/// What lists show.
pub const SHOWN: &[Column] = &[
    col::id,
    col::knowledge_base_id,
    col::title,
    col::source_kind,
    col::source_uri,
    col::file_id,
    col::content_type,
    col::content_hash,
    col::metadata,
    col::status,
    col::progress,
    col::error,
    col::chunk_count,
    col::origin_id,
    col::connector,
    col::access,
    col::fetched_at,
    col::version,
    col::created_at,
    col::updated_at,
];

/// A document.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Id (UUIDv7).
    id: String,
    /// Its base.
    knowledge_base_id: String,
    /// Title.
    title: String,
    /// `text`, `upload`, `url`, `sitemap`, `connector`.
    source_kind: String,
    /// Where it comes from, for URLs and sitemaps; by what its source knows it, for those of a connector.
    source_uri: Option<String>,
    /// The file that it was taken from.
    file_id: Option<String>,
    /// Media type.
    content_type: Option<String>,
    /// SHA-256 of the content, hex.
    content_hash: Option<String>,
    /// Whatever belongs to it; searches filter by it.
    metadata: Map<String, Value>,
    /// How it is in the active index: `pending`, `processing`, `ready`, `failed`.
    status: String,
    /// `chunks` and `of` while it is at work; `found` and `added` of a sitemap.
    progress: Value,
    /// Why it failed, or is tried again: `kind` and `message`.
    error: Option<Value>,
    /// Chunks in the active index.
    chunk_count: i64,
    /// The sitemap that it was found in.
    origin_id: Option<String>,
    /// What its source is called.
    connector: Option<String>,
    /// Labels of those that may find it; null for everybody.
    access: Option<Vec<String>>,
    /// When its source was asked last, RFC 3339.
    fetched_at: Option<String>,
    /// For `If-Match`.
    version: i64,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}
