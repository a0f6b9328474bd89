//! `GET /api/v1/profiles/me/jobs/{id}/archive`

use crate::Export;
use bytes::Bytes;
use futures::channel::mpsc::channel;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, header};
use nodeai_app::{Caller, PathId};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::Response;
use nodeai_http::{Body, IntoReply, Problem};
use serde::Deserialize;
use serde_json::json;

/// The archive as JSON Lines: each line `{"type", "organization_id"?, "data"}`, the first a `manifest`, the last an `end`
/// with the number of lines. Without that last line it did not arrive whole.
pub struct Archive(Response);

impl IntoReply for Archive {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let description = "JSON Lines; the last line has the type `end`";
        op.response(
            "200",
            json!({"description": description, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}),
        );
        op.problem("404", "There is no such job, or its archive has expired");
        op.problem("409", "The export has not ended");
    }
}

#[derive(Deserialize)]
struct Part {
    body: String,
    parts: u32,
}

/// Streams the archive part by part: no more than two of them are in memory, however large it is.
pub async fn handle(caller: Caller<Export>, PathId(id): PathId) -> Result<Archive, Problem> {
    let first = match part(&caller, &id, 0).await? {
        Some(first) => first,
        None => return Err(nothing(&caller, &id).await?),
    };
    let (mut sender, receiver) = channel(0);
    let mut response = Response::new(Body::Stream(receiver.boxed()));
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, fixed("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, fixed("no-store"));
    let name = fixed("attachment; filename=\"nodeai-export.jsonl\"");
    headers.insert(header::CONTENT_DISPOSITION, name);
    caller.cx.own_trace.set(true);
    let env = caller.cx.env().clone();
    env.spawn(Box::pin(async move {
        let (mut next, mut number) = (Some(first), 0);
        while let Some(now) = next {
            let parts = now.parts;
            if sender.send(Bytes::from(now.body)).await.is_err() {
                return; // the client has gone
            }
            number += 1;
            next = match number < parts {
                true => part(&caller, &id, number).await.ok().flatten(),
                false => None,
            };
        }
    }));
    Ok(Archive(response))
}

async fn part(caller: &Caller<Export>, id: &str, number: u32) -> Result<Option<Part>, Problem> {
    let args = json!({"id": id, "number": number});
    caller.call("profile_archive", &args).await
}

/// Why there is no archive.
async fn nothing(caller: &Caller<Export>, id: &str) -> Result<Problem, Problem> {
    let job = super::step(caller, id).await?;
    Ok(match (job.kind, job.status) {
        (super::Kind::Export, super::Status::Queued | super::Status::Running) => {
            Problem::conflict("the export has not ended").retry_after(1)
        }
        _ => Problem::not_found("this job has no archive, or it has expired"),
    })
}
