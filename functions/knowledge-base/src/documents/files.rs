//! Text of uploaded files, as the component that has them gives it to the very caller who asks here.

use bytes::Bytes;
use http::{Request, header};
use nodeai_app::errors::log;
use nodeai_app::{Caller, Scope};
use nodeai_http::{FieldError, Problem};
use serde::Deserialize;

/// Where it is for the application's own components, by service chaining.
const FILES: &str = "http://files.spin.internal/api/v1/files";

/// What is used of a file's text.
#[derive(Deserialize)]
pub struct FileText {
    /// The text.
    pub text: String,
    /// What was read: `pdf`, `markdown`, …
    pub format: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    detail: String,
}

/// The text of a file, read with the caller's own credential: who may not read the file gets nothing of it here.
///
/// Errors: 400 at `pointer` for a file that is not there or cannot be read; 503 when nobody answers.
pub async fn text<S: Scope>(
    caller: &Caller<S>,
    file_id: &str,
    pointer: &str,
) -> Result<FileText, Problem> {
    let mut request = Request::get(format!("{FILES}/{file_id}/text"));
    for name in ["authorization", "x-organization-id"] {
        if let Some(value) = caller.cx.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let request = request
        .header(header::ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|_| Problem::internal("the request for the text could not be made"))?;
    let answer = caller.cx.env().send(request).await.map_err(|error| {
        log("files", &error.to_string());
        Problem::unavailable("the files do not answer; nothing was added").retry_after(2)
    })?;
    match answer.status().as_u16() {
        200 => serde_json::from_slice(answer.body())
            .map_err(|_| Problem::internal("the text came in a form that was not expected")),
        status @ (429 | 500..) => {
            log("files", &format!("status {status}"));
            Err(
                Problem::unavailable("the files cannot be read now; nothing was added")
                    .retry_after(2),
            )
        }
        status => {
            let refusal: Option<Refusal> = serde_json::from_slice(answer.body()).ok();
            let detail = refusal
                .map(|r| r.detail)
                .filter(|detail| !detail.is_empty());
            let detail = detail.unwrap_or_else(|| format!("the file answers {status}"));
            let error = FieldError::body(pointer, "unreadable", detail);
            Err(Problem::fields(vec![error]))
        }
    }
}
