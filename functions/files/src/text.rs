//! `GET /api/v1/files/{id}/text`

use crate::FilesRead;
use crate::model::{self, Stored};
use crate::source::{Reader, Source};
use http::{Request, header};
use nodeai_app::{Caller, PathId};
use nodeai_files::sigv4::query_string;
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest file whose text is taken out.
const MOST: u64 = 16 << 20;

/// The text of a document.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Text {
    /// What was read: `pdf`, `docx`, `xlsx`, `csv`, `html`, `markdown`, `text`.
    format: String,
    /// The text.
    text: String,
    /// Its parts, in order.
    sections: Vec<Section>,
    /// Whether it was cut off: a text has at most 4 million characters.
    truncated: bool,
}

/// A part of a text.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// `page`, `sheet`, `heading`.
    kind: String,
    /// A page's number from 1, a sheet's name, a heading.
    title: String,
    /// Level of a heading: 1 to 6.
    #[serde(default)]
    level: Option<u8>,
    /// Where it begins in the text, characters (Unicode code points).
    start: usize,
    /// Where it ends.
    end: usize,
}

#[derive(Deserialize)]
struct Refusal {
    detail: String,
}

/// Takes the text out of a document, in a component of its own: a hostile file ends that instance and nothing else.
pub async fn handle(caller: Caller<FilesRead>, PathId(id): PathId) -> Result<Json<Text>, Problem> {
    let stored: Stored = caller.find(model::stored(id), "file").await?;
    let file = &stored.file;
    if file.size_bytes > MOST {
        let detail = format!("text is taken out of files of at most {MOST} bytes");
        return Err(Problem::file_unreadable(detail));
    }
    let reader = Reader::Caller(caller.session.clone());
    let source = Source::of(&caller.cx, reader, caller.org_id(), &stored).await?;
    let content = match file.size_bytes {
        0 => bytes::Bytes::new(),
        size => source.all(0, size - 1).await?,
    };
    let query = query_string(&[("type", &file.content_type), ("name", &file.name)]);
    let request = Request::post(format!("http://extract.spin.internal/?{query}"))
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(content)
        .map_err(|_| Problem::internal("the request for the text could not be made"))?;
    let sent = caller.cx.env().send(request).await;
    let answer = sent.map_err(|error| {
        nodeai_app::errors::log("extract", &error.to_string());
        Problem::file_unreadable("the file could not be read in time, or ended who read it")
    })?;
    let body = answer.body();
    match answer.status().as_u16() {
        200 => {
            let text: Text = serde_json::from_slice(body)
                .map_err(|_| Problem::internal("the text came in a form that was not expected"))?;
            Ok(Json::ok(text).header(header::ETAG, etag::of(file.version)))
        }
        status => {
            let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
            nodeai_app::errors::log("extract", &format!("status {status}"));
            let detail = refusal.map_or("the file ended who read it".to_owned(), |r| r.detail);
            Err(Problem::file_unreadable(detail))
        }
    }
}
