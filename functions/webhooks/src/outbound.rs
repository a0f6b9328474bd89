//! One request to a receiver through the host: no redirects, fifteen seconds for all of it, the beginning of the answer.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use http::HeaderMap;
use http_body_util::BodyDataStream;
use nodeai_app::Cx;
use nodeai_edge::http_client;
use nodeai_webhook::record::MOST_BODY;
use nodeai_webhook::verdict::TIMEOUT;
use std::pin::pin;

/// What a receiver answered.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// Whether it is all of it.
    pub whole: bool,
}

/// Sends a request. Errors: why there was no answer, in words for whoever looks at the delivery.
pub async fn send(cx: &Cx, request: http::Request<Bytes>) -> Result<Answer, String> {
    let exchange = pin!(exchange(request));
    let limit = u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    match select(exchange, cx.env().sleep_ms(limit)).await {
        Either::Left((answered, _)) => answered,
        Either::Right(_) => Err(format!("no answer within {} seconds", TIMEOUT.as_secs())),
    }
}

async fn exchange(request: http::Request<Bytes>) -> Result<Answer, String> {
    let response = http_client::send(request).await;
    let (parts, body) = response.map_err(|error| error.to_string())?.into_parts();
    let mut chunks = BodyDataStream::new(body);
    let mut begun = Vec::new();
    let mut whole = true;
    // The status has been said: a body that breaks off, or goes on forever, changes nothing.
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => begun.extend_from_slice(&chunk),
            Err(_) => whole = false,
        }
        if begun.len() > MOST_BODY || !whole {
            whole = false;
            break;
        }
    }
    begun.truncate(MOST_BODY);
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: begun,
        whole,
    })
}
