//! `GET /api/v1/traces/{trace_id}/export` as OTLP JSON, and `GET /api/v1/traces/export` as JSON lines.

use crate::TracesRead;
use crate::list::ListQuery;
use crate::load;
use crate::search::page;
use bytes::Bytes;
use futures::SinkExt;
use futures::StreamExt;
use futures::channel::mpsc::channel;
use http::{HeaderValue, header};
use nodeai_app::{Caller, Query};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::{Body, Json, Response};
use nodeai_http::{IntoReply, Problem};
use nodeai_telemetry::{Attributes, Span, otlp};
use serde_json::{Value, json};

/// Traces of one statement.
const BATCH: u32 = 200;
/// Most traces of one export; a search by time goes on behind them.
const MOST: usize = 50_000;

/// One trace in the format in which it could be sent here again.
pub async fn otlp(caller: Caller<TracesRead>) -> Result<Json<Value>, Problem> {
    let stored = load::of_path(&caller).await?;
    let read = |span| serde_json::from_value::<Span>(Value::Object(span)).ok();
    let spans: Vec<Span> = stored.spans.into_iter().filter_map(read).collect();
    Ok(Json::ok(otlp::to_json(&spans, &Attributes::new())))
}

/// JSON lines.
pub struct Lines(Response);

impl IntoReply for Lines {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let content = json!({"application/x-ndjson": {"schema": {"type": "string"}}});
        let description =
            "A trace's summary a line; the last line is {\"end\": true} when all were written";
        op.response(
            "200",
            json!({"description": description, "content": content}),
        );
    }
}

/// What the search finds, newest first, page by page: at most 50,000 traces. `limit` and `cursor` are not for this.
pub async fn lines(
    caller: Caller<TracesRead>,
    Query(query): Query<ListQuery>,
) -> Result<Lines, Problem> {
    let search = query.search()?;
    let (mut sender, receiver) = channel(4);
    let env = caller.cx.env().clone();
    env.spawn(Box::pin(async move {
        let (mut after, mut written) = (None, 0);
        // A failure ends the stream without its last line.
        while let Ok(batch) = page(&caller, &search, after.as_ref(), BATCH).await {
            caller.session.release();
            written += batch.traces.len();
            let text: String = batch
                .traces
                .into_iter()
                .map(|trace| format!("{}\n", load::for_people(trace)))
                .collect();
            after = batch.next;
            let ended = after.is_none() || written >= MOST;
            let end = if ended {
                format!("{}\n", json!({"end": true, "complete": after.is_none()}))
            } else {
                String::new()
            };
            let chunk = Bytes::from(text + &end);
            if (!chunk.is_empty() && sender.send(chunk).await.is_err()) || ended {
                return;
            }
        }
    }));
    let mut response = Response::new(Body::Stream(receiver.boxed()));
    let media_type = HeaderValue::from_static("application/x-ndjson");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(Lines(response))
}
