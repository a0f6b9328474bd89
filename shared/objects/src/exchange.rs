//! One request to a store, whole: parts of uploads are big, so that a short limit for every request would cut off slow ways.

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, Response};
use http_body_util::BodyExt;
use nodeai_edge::http_client;
use nodeai_ports::{Env, SendError};
use std::pin::pin;

/// What any request may take, ms.
const BASE_MS: u64 = 10_000;
/// The slowest way that is waited for, bytes per ms: two megabits a second.
const SLOWEST: u64 = 256;

/// Sends a request and collects its answer; once more when the connection broke. Parts and pieces name their place (a number, an
/// offset), so that none is there twice; an upload that is begun twice leaves one behind that the store has to clear away.
/// Errors: as the host's HTTP client, and a time limit by what is sent.
pub async fn exchange(
    env: &dyn Env,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, SendError> {
    match once(env, request.clone()).await {
        Err(SendError::Failed(reason)) => {
            nodeai_app::errors::log("object store, asked again", &reason);
            once(env, request).await
        }
        answered => answered,
    }
}

async fn once(env: &dyn Env, request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
    let length = u64::try_from(request.body().len()).unwrap_or(u64::MAX);
    let limit_ms = BASE_MS.saturating_add(length / SLOWEST);
    let exchange = pin!(async {
        let (parts, body) = http_client::send(request).await?.into_parts();
        let body = body.collect().await.map_err(http_client::send_error)?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    });
    match select(exchange, env.sleep_ms(limit_ms)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(SendError::Timeout),
    }
}
