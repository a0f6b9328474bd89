//! From the host's request to the area's dispatcher and back.

use crate::env::SpinEnv;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
pub use nodeai_app::App;
use nodeai_app::serve::{BodyFault, Incoming, serve};
use nodeai_http::Body;
use spin_sdk::http::{BoxBody, FromRequest, FullBody, IntoResponse, Request, Response, box_body};
use spin_sdk::wasip3::http::types;
use std::rc::Rc;

/// The application of an instance.
pub fn app(routes: nodeai_app::Routes) -> Rc<App> {
    Rc::new(App::new(routes, Rc::new(SpinEnv)))
}

/// Serves one request in the host's own types.
pub async fn handle_host(
    app: Rc<App>,
    request: types::Request,
) -> Result<types::Response, types::ErrorCode> {
    let request = Request::from_request(request)?;
    handle(app, request).await.into_response()
}

/// Serves one request.
pub async fn handle(app: Rc<App>, request: Request) -> Response<BoxBody> {
    let limit = app.settings().await.max_body;
    let (parts, body) = request.into_parts();
    // A safe request's body has no meaning (RFC 9110, section 9.3.1); not to start its stream saves several crossings
    // between guest and host.
    let body = match parts.method.is_safe() {
        true => Ok(Bytes::new()),
        false => read(body.into_data_stream(), limit).await,
    };
    let incoming = Incoming {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
    };
    serve(app, incoming).await.map(into_host_body)
}

/// Bytes past the limit that are read and thrown away: a client that is still sending when the connection closes sees
/// a broken pipe instead of the answer that says why.
const DRAIN: usize = 64 << 20;

/// Collects a body up to `limit` bytes.
async fn read<E>(
    body: impl Stream<Item = Result<Bytes, E>>,
    limit: usize,
) -> Result<Bytes, BodyFault> {
    let mut body = std::pin::pin!(body);
    let mut collected = BytesMut::new();
    let mut total = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| BodyFault::Broken)?;
        total += chunk.len();
        if total > limit + DRAIN {
            break;
        }
        if total <= limit {
            collected.extend_from_slice(&chunk);
        }
    }
    match total > limit {
        true => Err(BodyFault::TooLarge { limit }),
        false => Ok(collected.freeze()),
    }
}

fn into_host_body(body: Body) -> BoxBody {
    match body {
        Body::Full(bytes) => box_body(FullBody::new(bytes)),
        Body::Stream(chunks) => {
            let frames = chunks
                .map(|chunk| Ok::<_, std::convert::Infallible>(http_body::Frame::data(chunk)));
            box_body(StreamBody::new(frames))
        }
    }
}
