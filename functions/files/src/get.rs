//! `GET /api/v1/files/{id}`

use crate::FilesRead;
use crate::model::{self, File};
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};

/// One file, without its content.
pub async fn handle(caller: Caller<FilesRead>, PathId(id): PathId) -> Result<Json<File>, Problem> {
    let file: File = caller.find(model::one(id), "file").await?;
    let tag = etag::of(file.version);
    Ok(Json::ok(file).header(header::ETAG, tag))
}
