//! `POST /api/v1/files`: a raw body, or one file of `multipart/form-data`.

pub mod finish;
mod form;
pub mod outcome;
pub mod writer;

use crate::FilesWrite;
use crate::model::File;
use crate::rules::About;
use finish::{begin, file, give_up};
use http::header;
use nodeai_app::serve::body_problem;
use nodeai_app::{Caller, Created, Cx, Query};
use nodeai_files::{digest, disposition};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::Response;
use nodeai_http::{FromCx, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::rc::Rc;
use writer::Writer;

/// What a raw body is about. A form has fields of these names before its file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadQuery {
    /// Name; else that of `Content-Disposition`, or of the form's file.
    pub(crate) name: Option<String>,
    /// Folder, such as `reports/2026`.
    pub(crate) folder: Option<String>,
    /// Tags with commas between them.
    pub(crate) tags: Option<String>,
    /// A JSON object.
    pub(crate) metadata: Option<String>,
}

/// The body, which the handler reads as it comes.
pub struct Content;

impl FromCx<Cx> for Content {
    async fn from_cx(_: Rc<Cx>) -> Result<Self, Problem> {
        Ok(Self)
    }

    fn describe(op: &mut Describe) {
        let binary = json!({"schema": {"type": "string", "format": "binary"}});
        op.body(json!({"application/octet-stream": binary, "multipart/form-data": {"schema": {"type": "object",
            "required": ["file"], "properties": {"name": {"type": "string"}, "folder": {"type": "string"},
            "tags": {"type": "string"}, "metadata": {"type": "string"}, "sha256": {"type": "string"},
            "file": {"type": "string", "format": "binary"}}}}}));
        op.problem(
            "400",
            "A field is wrong, or the content is not what its digest says",
        );
        op.problem("413", "The file is too large");
        op.problem("507", "The storage quota is used up");
        op.header(
            "content-digest",
            false,
            "SHA-256 of a raw body (RFC 9530), which is verified",
        );
        let description =
            "Makes a retry safe: the same key and content give the first answer again";
        op.header("idempotency-key", false, description);
    }
}

/// Stores a file as it comes: at most a part of it is in memory.
pub async fn handle(
    caller: Caller<FilesWrite>,
    Query(query): Query<UploadQuery>,
    _: Content,
) -> Result<Created<File>, Problem> {
    let media_type = caller.cx.header("content-type").unwrap_or_default();
    let stored = match multer::parse_boundary(media_type) {
        Ok(boundary) => form::store(&caller, query, boundary).await,
        Err(_) if media_type.starts_with("multipart/form-data") => Err(Problem::invalid_input(
            "Content-Type: multipart/form-data must have a boundary",
        )),
        Err(_) => raw(&caller, query).await,
    };
    stored.map(Created::from)
}

/// The digest that a request sends along. Errors: 400.
pub fn digest_of(cx: &Cx) -> Result<Option<digest::Expected>, Problem> {
    for name in ["content-digest", "repr-digest"] {
        let Some(value) = cx.header(name) else {
            continue;
        };
        let read = digest::field(value);
        let found =
            read.map_err(|why| crate::rules::parameter(name, "format", &why.to_string()))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

async fn raw(caller: &Caller<FilesWrite>, query: UploadQuery) -> Result<Response, Problem> {
    let cx = &caller.cx;
    let expected = digest_of(cx)?;
    let disposed = cx
        .header("content-disposition")
        .and_then(disposition::name_in);
    let name = query.name.or(disposed);
    let about = About::said(
        name.as_deref(),
        query.folder.as_deref(),
        query.tags.as_deref(),
        query.metadata.as_deref(),
    )?;
    let upload = begin(caller, &about, content_length(cx)).await?;
    let id = upload.id.clone();
    let stored = async {
        let mut writer = Writer::on(caller, upload).await?;
        while let Some(piece) = cx.next_piece().await {
            writer.push(&piece.map_err(body_problem)?).await?;
        }
        if !writer.is_complete() && writer.upload.size_bytes.is_some() {
            return Err(Problem::invalid_input("the body did not arrive whole"));
        }
        file(caller, &mut writer, expected).await
    };
    let stored = stored.await;
    if stored.is_err() {
        give_up(caller, &id).await;
    }
    stored
}

/// The length of a body, when it is said.
pub fn content_length(cx: &Cx) -> Option<u64> {
    let value = cx.headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}
