//! `GET /api/v1/traces/archives/{id}/content`

use super::trace_archives as col;
use crate::TracesRead;
use bytes::Bytes;
use futures::channel::mpsc::channel;
use futures::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, header};
use nodeai_app::{Caller, PathId};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::{Body, Response};
use nodeai_http::{IntoReply, Problem};
use nodeai_objects::Stores;
use nodeai_store::{Column, Filter, Select};
use serde::Deserialize;
use serde_json::json;

/// Bytes that are read at once.
const WINDOW: u64 = 1 << 20;

const STORED: &[Column] = &[col::day, col::backend, col::object_key, col::size_bytes];

#[derive(Deserialize)]
struct Stored {
    day: String,
    backend: String,
    object_key: String,
    size_bytes: u64,
}

/// A day, packed.
pub struct Packed(Response);

impl IntoReply for Packed {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let content =
            json!({"application/gzip": {"schema": {"type": "string", "format": "binary"}}});
        let description =
            "Lines of OTLP JSON, packed with gzip: each can be sent to POST /v1/traces again";
        op.response(
            "200",
            json!({"description": description, "content": content}),
        );
    }
}

/// Streams what is kept of a day.
pub async fn handle(caller: Caller<TracesRead>, PathId(id): PathId) -> Result<Packed, Problem> {
    let select = Select::from(col::TABLE, STORED)
        .filter(Filter::Eq(col::id, id))
        .filter(Filter::Eq(col::status, "done".to_owned()));
    let stored: Stored = caller.find(select, "archive").await?;
    caller.session.release();
    let env = caller.cx.env().clone();
    let objects = Stores::read(&env).await.named(&stored.backend)?;
    let (key, size) = (stored.object_key, stored.size_bytes);
    let last = move |at: u64| (at + WINDOW).min(size) - 1;
    // What is wrong with the store is still said properly.
    let first = objects.read(&key, 0, last(0)).await;
    let mut window = first.map_err(nodeai_objects::Fault::problem)?;
    let (mut sender, receiver) = channel::<Bytes>(0);
    env.spawn(Box::pin(async move {
        let mut at = 0;
        loop {
            at += window.len() as u64;
            if sender.send(window).await.is_err() || at >= size {
                return;
            }
            // A body that breaks off is shorter than its `Content-Length`, which clients notice.
            match objects.read(&key, at, last(at)).await {
                Ok(next) if !next.is_empty() => window = next,
                _ => return,
            }
        }
    }));
    let mut response = Response::new(Body::Stream(receiver.boxed()));
    let name = format!("attachment; filename=\"traces-{}.jsonl.gz\"", stored.day);
    let fields: [(HeaderName, String); 3] = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, name),
    ];
    let headers = response.headers_mut();
    for (field, value) in fields {
        headers.extend(HeaderValue::from_str(&value).map(|value| (field, value)));
    }
    Ok(Packed(response))
}
