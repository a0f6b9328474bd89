//! Outbound HTTP through the host.

use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::BodyExt;
use nodeai_ports::SendError;
use spin_sdk::http::{FullBody, Response};
use spin_sdk::wasip3::http::types::ErrorCode;
use std::pin::pin;
use std::time::Duration;

/// Time limit of a buffered request: REST calls of the store and key sets.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends a request and collects the response body, within ten seconds.
pub async fn send_buffered(
    request: http::Request<Bytes>,
) -> Result<http::Response<Bytes>, SendError> {
    let exchange = pin!(async {
        let response = send(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(send_error)?.to_bytes();
        Ok(http::Response::from_parts(parts, body))
    });
    let limit = pin!(spin_sdk::time::sleep(TIMEOUT));
    match select(exchange, limit).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(SendError::Timeout),
    }
}

/// Sends a request; the response body streams.
pub async fn send(request: http::Request<Bytes>) -> Result<Response, SendError> {
    let request = request.map(FullBody::new);
    spin_sdk::http::send(request).await.map_err(send_error)
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
