//! `HEAD /api/v1/files/uploads/{id}`, and `GET`, which says the same as JSON.

use super::{Protocol, TusReply, tagged};
use crate::FilesWrite;
use crate::model::{self, File, Upload, file_uploads as col};
use crate::upload::finish::TTL_S;
use crate::upload::outcome::Outcome;
use http::{Method, StatusCode};
use nodeai_app::{Caller, PathId, clock, store_problem};
use nodeai_files::tus;
use nodeai_http::Problem;
use nodeai_store::{Column, Filter, Select};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

const SHOWN: &[Column] = &[
    col::id,
    col::name,
    col::folder,
    col::size_bytes,
    col::offset_bytes,
    col::expires_at,
    col::created_at,
];

#[derive(Deserialize)]
struct Row {
    name: String,
    folder: Option<String>,
    size_bytes: Option<u64>,
    offset_bytes: u64,
    expires_at: Option<String>,
}

impl From<Upload> for Row {
    fn from(upload: Upload) -> Self {
        Self {
            name: upload.name,
            folder: upload.folder,
            size_bytes: upload.size_bytes,
            offset_bytes: upload.offset_bytes,
            expires_at: Some(upload.expires_at),
        }
    }
}

impl From<File> for Row {
    fn from(file: File) -> Self {
        Self {
            name: file.name,
            folder: file.folder,
            size_bytes: Some(file.size_bytes),
            offset_bytes: file.size_bytes,
            expires_at: None,
        }
    }
}

/// Where an upload is; one that has become a file is at its end.
pub async fn handle(
    caller: Caller<FilesWrite>,
    _: Protocol,
    PathId(id): PathId,
) -> Result<TusReply, Problem> {
    let row = found(&caller, &id).await.map_err(tagged)?;
    let mut said = BTreeMap::from([("filename".to_owned(), row.name.clone())]);
    said.extend(
        row.folder
            .clone()
            .map(|folder| ("folder".to_owned(), folder)),
    );
    let reply = TusReply::new(StatusCode::OK)
        .with("cache-control", "no-store")
        .with("upload-offset", row.offset_bytes)
        .with("upload-metadata", tus::write_metadata(&said));
    let reply = match row.size_bytes {
        Some(size) => reply.with("upload-length", size),
        None => reply.with("upload-defer-length", 1),
    };
    let body = json!({"id": id, "name": row.name, "folder": row.folder, "size_bytes": row.size_bytes,
        "offset_bytes": row.offset_bytes, "expires_at": row.expires_at});
    let reply = match &row.expires_at {
        Some(at) => reply.expiring(at),
        None => reply.with("content-location", format!("/api/v1/files/{id}")),
    };
    Ok(reply.json(&body))
}

async fn found(caller: &Caller<FilesWrite>, id: &str) -> Result<Row, Problem> {
    let row = match caller.cx.method == Method::HEAD {
        true => taken(caller, id).await?,
        false => seen(caller, id).await?,
    };
    match row {
        Some(row) => Ok(row),
        None => {
            let file: File = caller.find(model::one(id.to_owned()), "upload").await?;
            Ok(file.into())
        }
    }
}

/// Who asks by `HEAD` is about to go on. What an earlier request of a cut connection still has to write is refused from here
/// on, so that the offset in the answer stays true.
async fn taken(caller: &Caller<FilesWrite>, id: &str) -> Result<Option<Row>, Problem> {
    let args = json!({"org_id": caller.org_id(), "id": id, "ttl_s": TTL_S});
    let outcome: Outcome = caller.call("file_upload_take", &args).await?;
    Ok(outcome.upload.map(Row::from))
}

async fn seen(caller: &Caller<FilesWrite>, id: &str) -> Result<Option<Row>, Problem> {
    let now = clock::rfc3339(clock::now_us());
    let upload = Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::id, id.to_owned()))
        .filter(Filter::Gt(col::expires_at, now));
    caller.session.one(upload).await.map_err(store_problem)
}
