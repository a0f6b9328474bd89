//! A file of `multipart/form-data` (RFC 7578), read as it comes: fields that say what it is, then the file.

use super::UploadQuery;
use super::finish::{begin, file, give_up};
use super::writer::Writer;
use crate::FilesWrite;
use crate::rules::{About, parameter};
use bytes::Bytes;
use futures::channel::mpsc::{Sender, channel};
use futures::{SinkExt, StreamExt};
use multer::{Constraints, Field, Multipart, SizeLimit};
use nodeai_app::body::BodyFault;
use nodeai_app::{Caller, Cx};
use nodeai_files::digest;
use nodeai_http::Problem;
use nodeai_http::reply::Response;

/// Most bytes of a field that is no file.
const FIELD: u64 = 64 << 10;

/// Why the body broke off, in the form that the parser passes on.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the body did not arrive whole")
    }
}

impl std::error::Error for Broken {}

/// Stores the form's file.
pub async fn store(
    caller: &Caller<FilesWrite>,
    query: UploadQuery,
    boundary: String,
) -> Result<Response, Problem> {
    // The parser takes streams that can change threads, which the host's cannot; a channel of no room stands between. It
    // also keeps the parser from reading ahead: it would read on as long as something is there.
    let (sender, receiver) = channel(0);
    let mut limits = SizeLimit::new();
    for name in ["name", "folder", "tags", "metadata", "sha256"] {
        limits = limits.for_field(name, FIELD);
    }
    let constraints = Constraints::new().size_limit(limits);
    let form = Multipart::with_constraints(receiver, boundary, constraints);
    let (_, stored) = futures::join!(feed(&caller.cx, sender), parse(caller, query, form));
    stored
}

async fn feed(cx: &Cx, mut sender: Sender<Result<Bytes, Broken>>) {
    while let Some(piece) = cx.next_piece().await {
        let piece = piece.map_err(|_: BodyFault| Broken);
        if sender.send(piece).await.is_err() {
            return; // the parser has what it wants
        }
    }
}

async fn parse(
    caller: &Caller<FilesWrite>,
    mut about: UploadQuery,
    mut form: Multipart<'static>,
) -> Result<Response, Problem> {
    let mut sha256 = None;
    loop {
        let field = form.next_field().await.map_err(problem)?;
        let field = field.ok_or_else(|| parameter("file", "required", "the form has no file"))?;
        let name = field.name().unwrap_or_default().to_owned();
        let place = match name.as_str() {
            "name" => &mut about.name,
            "folder" => &mut about.folder,
            "tags" => &mut about.tags,
            "metadata" => &mut about.metadata,
            "sha256" => &mut sha256,
            "file" => {
                return store_field(caller, about, sha256, (field, form)).await;
            }
            other => {
                let detail = "is not a field of this form; `file` comes last";
                return Err(parameter(other, "unknown_field", detail));
            }
        };
        *place = Some(field.text().await.map_err(problem)?);
    }
}

async fn store_field(
    caller: &Caller<FilesWrite>,
    about: UploadQuery,
    sha256: Option<String>,
    (mut field, mut form): (Field<'static>, Multipart<'static>),
) -> Result<Response, Problem> {
    let expected = sha256.as_deref().map(digest::sha256_hex).transpose();
    let expected = expected.map_err(|why| parameter("sha256", "format", &why.to_string()))?;
    let given = field.file_name().map(str::to_owned);
    let name = about.name.or(given);
    let about = About::said(
        name.as_deref(),
        about.folder.as_deref(),
        about.tags.as_deref(),
        about.metadata.as_deref(),
    )?;
    let upload = begin(caller, &about, None).await?;
    let id = upload.id.clone();
    let stored = async {
        let mut writer = Writer::on(caller, upload).await?;
        while let Some(piece) = field.next().await {
            writer.push(&piece.map_err(problem)?).await?;
        }
        // Its place in the form is free only once it is gone.
        drop(field);
        if form.next_field().await.map_err(problem)?.is_some() {
            return Err(parameter("file", "last", "must come last, and once"));
        }
        file(caller, &mut writer, expected).await
    };
    let stored = stored.await;
    if stored.is_err() {
        give_up(caller, &id).await;
    }
    stored
}

fn problem(error: multer::Error) -> Problem {
    match error {
        multer::Error::FieldSizeExceeded { field_name, .. } => {
            let name = field_name.unwrap_or_default();
            parameter(&name, "length", "must have at most 65536 bytes")
        }
        multer::Error::StreamReadFailed(_) => {
            Problem::invalid_input("the body did not arrive whole")
        }
        other => Problem::invalid_input(format!("the form cannot be read: {other}")),
    }
}
