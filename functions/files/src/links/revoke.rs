//! `DELETE /api/v1/files/links/{id}`

use crate::FilesWrite;
use nodeai_app::{Caller, Command, Done, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// From now on the link opens nothing.
pub async fn handle(caller: Caller<FilesWrite>, PathId(id): PathId) -> Result<Done, Problem> {
    let args = json!({"id": id});
    let command = Command::named("file_link_revoke", "file link", &id, args)
        .audit("file_link.revoked", json!({}));
    caller.write(command).await.map(Done::from)
}
