//! Files and uploads as the API and the database have them.

use nodeai_store::{Column, Filter, Select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

nodeai_store::columns! {
    /// Files, those that were deleted among them.
    files {
        id: Uuid, name: Text, folder: Text, content_type: Text, size_bytes: Int, sha256: Text, backend: Text,
        object_key: Text, tags: TextArray, metadata: Json, user_id: Uuid, version: Int, created_at: Time,
        updated_at: Time, deleted_at: Time,
    }
}

nodeai_store::columns! {
    /// Uploads that have not ended.
    file_uploads {
        id: Uuid, name: Text, folder: Text, tags: TextArray, metadata: Json, size_bytes: Int, offset_bytes: Int,
        expires_at: Time, created_at: Time,
    }
}

use files as col;

/// What is shown of a file.
pub const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::folder,
    col::content_type,
    col::size_bytes,
    col::sha256,
    col::tags,
    col::metadata,
    col::user_id,
    col::version,
    col::created_at,
    col::updated_at,
];

/// What is shown, and where its bytes are.
const STORED: &[Column] = &[
    col::id,
    col::name,
    col::folder,
    col::content_type,
    col::size_bytes,
    col::sha256,
    col::tags,
    col::metadata,
    col::user_id,
    col::version,
    col::created_at,
    col::updated_at,
    col::backend,
    col::object_key,
];

/// A file, without its content.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Id (UUIDv7).
    pub id: String,
    /// Name.
    pub name: String,
    /// Folder, such as `reports/2026`.
    pub folder: Option<String>,
    /// Media type, as the content says.
    pub content_type: String,
    /// Size, bytes.
    pub size_bytes: u64,
    /// SHA-256 of the content, hex.
    pub sha256: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Whatever the caller keeps with it.
    pub metadata: Map<String, Value>,
    /// Who uploaded it; null when that user is gone.
    pub user_id: Option<String>,
    /// Version, for `If-Match`; counts changes of name, folder, tags and metadata. The content never changes.
    pub version: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A file and where its bytes are.
#[derive(Debug, Deserialize)]
pub struct Stored {
    /// What is shown.
    #[serde(flatten)]
    pub file: File,
    /// `postgres`, `s3` or `supabase`.
    pub backend: String,
    /// Its key in that store.
    pub object_key: Option<String>,
}

/// Reads one file that is there.
pub fn one(id: String) -> Select {
    Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::id, id))
        .filter(Filter::IsNull(col::deleted_at))
}

/// Reads one file and where its bytes are.
pub fn stored(id: String) -> Select {
    Select {
        columns: STORED,
        ..one(id)
    }
}

/// An upload's row.
#[derive(Debug, Deserialize)]
pub struct Upload {
    /// Its id, and the file's.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its folder.
    pub folder: Option<String>,
    /// All bytes, once that is known.
    pub size_bytes: Option<u64>,
    /// Bytes that are kept.
    pub offset_bytes: u64,
    /// Bytes that it may have.
    pub most_bytes: u64,
    /// `postgres`, `s3` or `supabase`.
    pub backend: String,
    /// Its key in that store.
    pub object_key: Option<String>,
    /// What that store has of it.
    pub backend_state: nodeai_objects::Progress,
    /// State of the hash, `\x` hex.
    pub hash_state: Option<String>,
    /// Whose turn it is.
    pub lease_token: i64,
    /// When it is given up, RFC 3339.
    pub expires_at: String,
}
