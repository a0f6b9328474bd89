//! `GET /api/v1/files/{id}/content`: a range or the whole, under conditions, streamed.

use crate::FilesRead;
use crate::model::{self, File, Stored};
use crate::source::{Reader, Source};
use bytes::Bytes;
use futures::channel::mpsc::channel;
use futures::{SinkExt, StreamExt, stream};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use nodeai_app::{Caller, Cx, PathId, Query, clock};
use nodeai_files::condition::{Conditions, Verdict, http_date};
use nodeai_files::range::{Asked, asked};
use nodeai_files::{digest, disposition, media};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::Response;
use nodeai_http::{Body, IntoReply, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// How the content is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentQuery {
    /// To be shown instead of saved; only images, audio, video, PDF and plain text are.
    #[serde(default)]
    inline: bool,
}

/// A file's content, or part of it.
pub struct Download(Response);

impl IntoReply for Download {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let binary = json!({"*/*": {"schema": {"type": "string", "format": "binary"}}});
        op.response(
            "200",
            json!({"description": "The content", "content": binary}),
        );
        op.response(
            "206",
            json!({"description": "The range that Range asks for", "content": binary}),
        );
        op.empty_response("304", "It is what If-None-Match or If-Modified-Since says");
        op.problem("412", "It is not what If-Match or If-Unmodified-Since says");
        op.problem("416", "The file does not have that range");
        op.header("range", false, "One range of bytes");
        op.header("if-range", false, "ETag or date for which Range counts");
        op.header("if-none-match", false, "ETags that the client has");
    }
}

/// Streams the content.
pub async fn handle(
    caller: Caller<FilesRead>,
    PathId(id): PathId,
    Query(query): Query<ContentQuery>,
) -> Result<Download, Problem> {
    let stored: Stored = caller.find(model::stored(id), "file").await?;
    let reader = Reader::Caller(caller.session.clone());
    let source = Source::of(&caller.cx, reader, caller.org_id(), &stored).await?;
    download(&caller.cx, source, &stored.file, query.inline).await
}

/// What a request with its conditions and range gets of a file.
pub async fn download(
    cx: &Cx,
    source: Source,
    file: &File,
    inline: bool,
) -> Result<Download, Problem> {
    let etag = format!("\"{}\"", file.sha256);
    // The content never changes.
    let made_us = clock::parse_rfc3339(&file.created_at).unwrap_or_default();
    let modified = u64::try_from(made_us / 1_000_000).unwrap_or_default();
    let conditions = Conditions {
        if_match: cx.header("if-match"),
        if_none_match: cx.header("if-none-match"),
        if_modified_since: cx.header("if-modified-since"),
        if_unmodified_since: cx.header("if-unmodified-since"),
        if_range: cx.header("if-range"),
    };
    let fields = fields(file, inline, &etag, modified);
    let range = match conditions.ask(&etag, modified) {
        Verdict::Failed => {
            return Err(Problem::stale(format!("the content's ETag is {etag}")));
        }
        Verdict::NotModified => {
            return Ok(answer(
                StatusCode::NOT_MODIFIED,
                fields,
                Body::Full(Bytes::new()),
            ));
        }
        Verdict::Go { ranges } => cx.header("range").filter(|_| ranges),
    };
    let size = file.size_bytes;
    let (status, first, length) = match asked(range, size) {
        Asked::Whole => (StatusCode::OK, 0, size),
        Asked::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Asked::Nothing => {
            let detail = format!("the file has {size} bytes");
            let problem = Problem::range_not_satisfiable(detail);
            return Err(problem.with_header(header::CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let body = match cx.method == Method::HEAD || length == 0 {
        // Not a body of known length: that would be taken for the content's.
        true => Body::Stream(stream::empty().boxed()),
        false => stream_of(cx, source, first, first + length - 1).await?,
    };
    let mut download = answer(status, fields, body);
    let headers = download.0.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {first}-{}/{size}", first + length - 1);
        headers.extend(HeaderValue::from_str(&range).map(|value| (header::CONTENT_RANGE, value)));
    }
    Ok(download)
}

/// The bytes from `first` to `last`. A body that breaks off is shorter than its `Content-Length`, which clients notice.
async fn stream_of(cx: &Cx, source: Source, first: u64, last: u64) -> Result<Body, Problem> {
    // What is wrong with the store is still said properly.
    let mut window = source.window(first, last).await?;
    let (mut sender, receiver) = channel(0);
    cx.env().spawn(Box::pin(async move {
        let mut at = first;
        loop {
            at += window.len() as u64;
            if sender.send(window).await.is_err() || at > last {
                return; // the client has gone, or has all
            }
            window = match source.window(at, last).await {
                Ok(next) => next,
                Err(problem) => {
                    nodeai_app::errors::log("download", problem.slug());
                    return;
                }
            };
        }
    }));
    Ok(Body::Stream(receiver.boxed()))
}

fn answer(status: StatusCode, fields: Vec<(HeaderName, String)>, body: Body) -> Download {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Download(response)
}

fn fields(file: &File, inline: bool, etag: &str, modified: u64) -> Vec<(HeaderName, String)> {
    let inline = inline && media::is_inert(&file.content_type);
    let mut fields = vec![
        (header::ETAG, etag.to_owned()),
        (header::LAST_MODIFIED, http_date(modified)),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::CONTENT_TYPE, file.content_type.clone()),
        (
            header::CONTENT_DISPOSITION,
            disposition::write(inline, &file.name),
        ),
        // Whatever a browser makes of it: no scripts, no origin of ours.
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'".to_owned(),
        ),
    ];
    let digest = digest::repr_digest(&file.sha256);
    fields.extend(digest.map(|value| (HeaderName::from_static("repr-digest"), value)));
    fields
}
