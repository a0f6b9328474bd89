//! From the host's request to the area's dispatcher and back.

use crate::env::SpinEnv;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt, StreamBody};
pub use nodeai_app::App;
use nodeai_app::body::BodyFault;
use nodeai_app::serve::{Incoming, serve};
use nodeai_http::Body;
use spin_sdk::http::IntoResponse;
use spin_sdk::wasip3::http::types::{self, ErrorCode};
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};
use std::rc::Rc;

/// The application of an instance.
pub fn app(routes: nodeai_app::Routes) -> Rc<App> {
    Rc::new(App::new(routes, Rc::new(SpinEnv)))
}

/// Serves one request in the host's own types.
///
/// # Errors
/// When the host's request is not valid HTTP, or the host refuses the response's fields.
pub async fn handle_host(
    app: Rc<App>,
    request: types::Request,
) -> Result<types::Response, ErrorCode> {
    let incoming = receive(request)?;
    let (parts, body) = serve(app, incoming).await.into_parts();
    match body {
        Body::Full(bytes) => buffered(parts, bytes),
        Body::Stream(chunks) => {
            let frames = chunks
                .map(|chunk| Ok::<_, std::convert::Infallible>(http_body::Frame::data(chunk)));
            http::Response::from_parts(parts, StreamBody::new(frames)).into_response()
        }
    }
}

/// Takes what the dispatcher needs, and no more: every question to the host is a crossing that costs as much as the
/// rest of a small answer, and the SDK's conversion asks for scheme, authority, options and length as well.
fn receive(request: types::Request) -> Result<Incoming, ErrorCode> {
    let method =
        Method::try_from(request.get_method()).map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    let target = request.get_path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let headers = HeaderMap::try_from(request.get_headers())?;
    let body = match has_body(&method, &headers) {
        true => {
            let pieces = IncomingRequestBody::new(request)?.into_data_stream();
            let pieces = pieces.map(|piece| piece.map_err(|_| BodyFault::Broken));
            Some(pieces.boxed_local())
        }
        false => None,
    };
    Ok(Incoming {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    })
}

/// Whether there is a body to read. A safe request's body has no meaning (RFC 9110, section 9.3.1).
fn has_body(method: &Method, headers: &HeaderMap) -> bool {
    let empty = headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length.as_bytes() == b"0");
    !method.is_safe() && !empty
}

/// A response whose body is known: one write of the body, then the end.
fn buffered(parts: http::response::Parts, bytes: Bytes) -> Result<types::Response, ErrorCode> {
    let fields = types::Fields::try_from(parts.headers)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    // Dropping the writer writes its default, no trailers: the body was whole.
    let (end, trailers) = wit_future::new(|| Ok(None));
    let contents = (!bytes.is_empty()).then(|| {
        let (mut writer, reader) = wit_stream::new();
        spawn(async move {
            // What is left over when the client has gone is nobody's.
            let _ = writer.write_all(bytes.into()).await;
            drop(writer);
            drop(end);
        });
        reader
    });
    let (response, _sent) = types::Response::new(fields, contents, trailers);
    if parts.status != http::StatusCode::OK {
        // Every status of ours is one that the host knows.
        let _ = response.set_status_code(parts.status.as_u16());
    }
    Ok(response)
}
