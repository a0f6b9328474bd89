//! `HEAD /api/v1/files/uploads/{id}`, and `GET`, which says the same as JSON.

use super::{Protocol, TusReply, tagged};
use crate::FilesWrite;
use crate::model::{self, File, file_uploads as col};
use http::StatusCode;
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
    let now = clock::rfc3339(clock::now_us());
    let upload = Select::from(col::TABLE, SHOWN)
        .filter(Filter::Eq(col::id, id.to_owned()))
        .filter(Filter::Gt(col::expires_at, now));
    let row = caller.session.one(upload).await.map_err(store_problem)?;
    match row {
        Some(row) => Ok(row),
        None => {
            let file: File = caller.find(model::one(id.to_owned()), "upload").await?;
            Ok(file.into())
        }
    }
}
