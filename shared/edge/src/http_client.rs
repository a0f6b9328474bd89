//! Outbound HTTP through the host.

use crate::pieces::Pieces;
use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::BodyExt;
use nodeai_ports::SendError;
use spin_sdk::http::Response;
use spin_sdk::wasip3::http::types::ErrorCode;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

/// Time limit of a buffered request: REST calls of the store and key sets.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request and collects the response body, within ten seconds.
pub async fn send_buffered(
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, SendError> {
    send_within(request, TIMEOUT).await
}

/// Sends a request and collects the response body within a time limit.
pub async fn send_within(
    request: http::Request<Bytes>,
    limit: Duration,
) -> Result<http::Response<Bytes>, SendError> {
    let exchange = pin!(async {
        let response = send(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(send_error)?.to_bytes();
        Ok(http::Response::from_parts(parts, body))
    });
    let limit = pin!(spin_sdk::time::sleep(limit));
    match select(exchange, limit).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(SendError::Timeout),
    }
}

/// Sends a request; the response body streams.
pub async fn send(request: http::Request<Bytes>) -> Result<Response, SendError> {
    let request = request.map(Pieces);
    let sent = polled_twice(spin_sdk::http::send(request)).await;
    sent.map_err(send_error)
}

/// Asks to be polled once more when a future first has to wait. The SDK writes a request's body in a task that it spawns
/// meanwhile, and wit-bindgen 0.57 polls what was spawned during a poll at the next event only (`Tasks::poll_next`): when
/// nothing else goes on, that event would be the answer to a body that was never sent.
async fn polled_twice<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut asked = false;
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() && !asked {
            asked = true;
            cx.waker().wake_by_ref();
        }
        polled
    })
    .await
}

/// A host error as a port error.
pub fn send_error(error: ErrorCode) -> SendError {
    match error {
        ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
            SendError::Refused(error.to_string())
        }
        ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionReadTimeout
        | ErrorCode::HttpResponseTimeout
        | ErrorCode::DnsTimeout => SendError::Timeout,
        ErrorCode::ConnectionRefused
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::TlsCertificateError => SendError::Unreachable(error.to_string()),
        other => SendError::Failed(other.to_string()),
    }
}
