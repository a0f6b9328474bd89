//! `PATCH /api/v1/files/uploads/{id}`

use super::write::{checksum, write};
use super::{Piece, Protocol, TusReply, refused, tagged};
use crate::FilesWrite;
use crate::upload::content_length;
use crate::upload::finish::TTL_S;
use crate::upload::outcome::{self, Outcome};
use http::StatusCode;
use nodeai_app::{Caller, PathId};
use nodeai_files::tus::{self, State};
use nodeai_http::Problem;
use serde_json::json;

/// Goes on with an upload. With its last byte it is the file of the same id.
pub async fn handle(
    caller: Caller<FilesWrite>,
    _: Protocol,
    PathId(id): PathId,
    _: Piece,
) -> Result<TusReply, Problem> {
    patch(&caller, &id).await.map_err(tagged)
}

async fn patch(caller: &Caller<FilesWrite>, id: &str) -> Result<TusReply, Problem> {
    let cx = &caller.cx;
    let offset = tus::bytes("Upload-Offset", cx.header("upload-offset")).map_err(refused)?;
    let said_now = cx.header("upload-length");
    let size = said_now.map(|text| tus::bytes("Upload-Length", Some(text)));
    let size = size.transpose().map_err(refused)?;
    let checksum = checksum(cx)?;
    let args = json!({"org_id": caller.org_id(), "id": id, "ttl_s": TTL_S, "size": size});
    let outcome: Outcome = caller.call("file_upload_take", &args).await?;
    let upload = outcome::expect(outcome, "taken")?.upload;
    let upload = upload.ok_or_else(|| Problem::not_found("there is no such upload"))?;
    let state = State {
        offset: upload.offset_bytes,
        size: upload.size_bytes,
    };
    state
        .piece(cx.header("content-type"), offset, content_length(cx))
        .map_err(refused)?;
    let expires_at = upload.expires_at.clone();
    let written = write(caller, upload, checksum).await?;
    let reply = TusReply::new(StatusCode::NO_CONTENT).with("upload-offset", written.offset);
    Ok(match written.is_file {
        true => reply.with("content-location", format!("/api/v1/files/{id}")),
        false => reply.expiring(&expires_at),
    })
}
