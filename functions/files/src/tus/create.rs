//! `POST /api/v1/files/uploads`: creation, also with the first piece.

use super::write::{checksum, write};
use super::{Piece, Protocol, TusReply, location, refused, tagged};
use crate::FilesWrite;
use crate::rules::About;
use crate::upload::finish::begin;
use http::StatusCode;
use nodeai_app::Caller;
use nodeai_files::tus;
use nodeai_http::Problem;

/// Begins an upload. `Upload-Metadata` has `filename`, and may have `folder`, `tags` and `metadata`.
pub async fn handle(
    caller: Caller<FilesWrite>,
    _: Protocol,
    _: Piece,
) -> Result<TusReply, Problem> {
    create(&caller).await.map_err(tagged)
}

async fn create(caller: &Caller<FilesWrite>) -> Result<TusReply, Problem> {
    let cx = &caller.cx;
    let (length, defer) = (cx.header("upload-length"), cx.header("upload-defer-length"));
    let size = tus::length(length, defer).map_err(refused)?;
    let said = tus::metadata(cx.header("upload-metadata").unwrap_or_default()).map_err(refused)?;
    let said = |key: &str| said.get(key).map(String::as_str);
    let about = About::said(
        said("filename").or(said("name")),
        said("folder"),
        said("tags"),
        said("metadata"),
    )?;
    let checksum = checksum(cx)?;
    let upload = begin(caller, &about, size).await?;
    let (id, expires_at) = (upload.id.clone(), upload.expires_at.clone());
    let reply = TusReply::new(StatusCode::CREATED)
        .with("location", location(&id))
        .expiring(&expires_at);
    let has_piece = cx.header("content-type") == Some(tus::MEDIA_TYPE);
    if !has_piece && size != Some(0) {
        return Ok(reply.with("upload-offset", 0));
    }
    match write(caller, upload, checksum).await {
        Ok(written) => Ok(reply.with("upload-offset", written.offset)),
        // The client does not know of it yet, and will begin another one.
        Err(problem) => {
            crate::upload::finish::give_up(caller, &id).await;
            Err(problem)
        }
    }
}
