//! `DELETE /api/v1/files/{id}`

use crate::FilesWrite;
use crate::model::files as col;
use nodeai_app::write::Op;
use nodeai_app::{Caller, Done, IfMatch, PathId, Write};
use nodeai_http::Problem;
use serde_json::json;

/// Removes a file: it is gone at once, and its quota free; its bytes go when somebody drains.
pub async fn handle(
    caller: Caller<FilesWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, col::TABLE, "file", &id)
        .expect_version(expected)
        .audit("file.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
