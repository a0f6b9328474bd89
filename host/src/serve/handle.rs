//! One request: find its component, find it a place, call, and answer for the component when it cannot.
use std::cell::OnceCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use super::{App, problem};
use crate::log;
use crate::router::Match;
use crate::runtime::Shared;
use crate::runtime::call::{self, Failure, GuestBody};
use crate::spans::{self, EndedRequest};

/// How long a request waits for a place before 503.
const PLACE_WAIT: Duration = Duration::from_secs(1);

/// Answers one request.
///
/// `client` is the client's address, as the component gets to see it.
pub async fn handle(app: &App, client: &HeaderValue, request: Request<Incoming>) -> Response<Body> {
    let origin = Origin::of(&request);
    if request.uri().path() == "/.well-known/spin/health" {
        return Response::new(Body::full("OK".to_owned()));
    }
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    if chunked && request.headers().contains_key(header::CONTENT_LENGTH) {
        let detail = "a request has a Content-Length or a Transfer-Encoding, not both";
        return closing(problem::answer(
            StatusCode::BAD_REQUEST,
            detail,
            origin.trace(),
        ));
    }
    let response = serve(app, client, request, origin).await;
    match chunked {
        true => closing(response),
        false => response,
    }
}

/// Ends the connection after this answer (RFC 9112, section 6.1). A proxy in front may see the end of a chunked body
/// elsewhere, as the HTTP library drops a Content-Length that follows the Transfer-Encoding: whatever comes behind the body
/// on this connection must not be served as a request.
fn closing(mut response: Response<Body>) -> Response<Body> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

async fn serve(
    app: &App,
    client: &HeaderValue,
    request: Request<Incoming>,
    origin: Origin,
) -> Response<Body> {
    let Some(found) = app.router.find(origin.uri.path()) else {
        return problem::answer(
            StatusCode::NOT_FOUND,
            "nothing is served under this path",
            origin.trace(),
        );
    };
    if declared_length(&request) > Some(app.shared.limits.body) {
        return problem::answer(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than this host takes",
            origin.trace(),
        );
    }
    let place = app.places.clone();
    let Ok(Ok(place)) = tokio::time::timeout(PLACE_WAIT, place.acquire_owned()).await else {
        return problem::answer(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are in flight",
            origin.trace(),
        );
    };
    let component = found.component;
    let request = prepare(request, &found, client, app.shared.limits.body);
    match call::call(&app.shared, component, request).await {
        Ok(response) => {
            response.map(|body| Body::guest(body, place, app.shared.clone(), component, origin))
        }
        Err(failure) => explain(&app.shared, component, &failure, &origin),
    }
}

/// What is needed to speak of a request after it was handed over. Most requests need none of it, so that what costs
/// something is worked out when it is asked for.
#[derive(Debug)]
pub struct Origin {
    method: Method,
    uri: Uri,
    traceparent: Option<HeaderValue>,
    ids: OnceCell<(String, String)>,
    started: SystemTime,
}

impl Origin {
    fn of(request: &Request<Incoming>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            traceparent: request.headers().get("traceparent").cloned(),
            ids: OnceCell::new(),
            started: SystemTime::now(),
        }
    }

    /// Trace id and parent span id: the client's, or a new trace.
    fn ids(&self) -> (&str, &str) {
        let (trace, parent) = self.ids.get_or_init(|| {
            let traceparent = self.traceparent.as_ref();
            let sent = traceparent.and_then(|value| value.to_str().ok());
            let sent = sent.and_then(spans::parse_traceparent);
            sent.unwrap_or_else(|| (spans::random_hex(16), String::new()))
        });
        (trace, parent)
    }

    fn trace(&self) -> &str {
        self.ids().0
    }

    fn ended<'a>(&'a self, component: &'a str, status: u16, reason: &'a str) -> EndedRequest<'a> {
        let (trace, parent) = self.ids();
        EndedRequest {
            component,
            method: self.method.as_str(),
            path: self.uri.path(),
            trace,
            parent,
            started: self.started,
            status,
            reason,
        }
    }
}

fn declared_length(request: &Request<Incoming>) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The request as the component gets it: absolute URI, `spin-*` headers, a body with a ceiling.
fn prepare(
    request: Request<Incoming>,
    found: &Match<'_>,
    client: &HeaderValue,
    most: u64,
) -> Request<WasiBody> {
    let (mut parts, body) = request.into_parts();
    let authority = authority(&parts);
    let path = parts.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let full_url = format!("http://{authority}{path}");
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority);
    uri.path_and_query = Some(path);
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
    parts.headers.remove(header::CONNECTION);
    found.set_headers(&mut parts.headers, &full_url, client);
    Request::from_parts(parts, limited(body, most))
}

/// Whom the client wanted to reach.
fn authority(parts: &http::request::Parts) -> Authority {
    let host = parts.headers.get(header::HOST);
    let host = host.and_then(|value| Authority::try_from(value.as_bytes()).ok());
    host.or_else(|| parts.uri.authority().cloned())
        .unwrap_or_else(|| Authority::from_static("localhost"))
}

fn limited(body: Incoming, most: u64) -> WasiBody {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let body = Limited::new(body, most).map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => WasiError::from(*error),
        Err(_) => WasiError::HttpRequestBodySize(None),
    });
    body.boxed_unsync()
}

fn explain(
    shared: &Shared,
    component: usize,
    failure: &Failure,
    origin: &Origin,
) -> Response<Body> {
    let (status, detail) = match failure {
        Failure::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            "the time limit for a response was reached",
        ),
        Failure::OutOfMemory => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the memory limit of the function was reached",
        ),
        Failure::NoInstance(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no instance of the function could be started",
        ),
        Failure::Unknown | Failure::Failed(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the function failed")
        }
    };
    let id = shared.component_id(component);
    log::component_error(
        id,
        &format!(
            "{} {} answered {}: {failure}",
            origin.method,
            origin.uri.path(),
            status.as_u16()
        ),
    );
    shared
        .spans
        .keep_ended(&origin.ended(id, status.as_u16(), &failure.to_string()));
    problem::answer(status, detail, origin.trace())
}

/// A response body: the host's own, or a guest's as it comes.
pub enum Body {
    /// Known in whole.
    Full(Full<Bytes>),
    /// Streaming from a guest.
    Guest(Box<Streaming>),
}

/// A guest's body, with the request's place and what to report if it is cut.
pub struct Streaming {
    body: GuestBody,
    shared: Arc<Shared>,
    component: usize,
    origin: Origin,
    reported: bool,
    _place: OwnedSemaphorePermit,
}

impl Body {
    /// A body known in whole.
    pub fn full(text: String) -> Self {
        Self::Full(Full::new(text.into()))
    }

    fn guest(
        body: GuestBody,
        place: OwnedSemaphorePermit,
        shared: Arc<Shared>,
        component: usize,
        origin: Origin,
    ) -> Self {
        Self::Guest(Box::new(Streaming {
            body,
            shared,
            component,
            origin,
            reported: false,
            _place: place,
        }))
    }
}

impl Streaming {
    /// Logs, once, that the instance ended while the response streamed.
    fn report_cut(&mut self) {
        if !self.reported && self.body.was_cut() {
            self.reported = true;
            let id = self.shared.component_id(self.component);
            let reason = "the function ended while its response streamed";
            log::component_error(
                id,
                &format!(
                    "{} {}: {reason}",
                    self.origin.method,
                    self.origin.uri.path()
                ),
            );
            self.shared
                .spans
                .keep_ended(&self.origin.ended(id, 200, reason));
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        match self.get_mut() {
            Self::Full(full) => Pin::new(full)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Self::Guest(streaming) => {
                let frame = Pin::new(&mut streaming.body).poll_frame(context);
                if matches!(frame, Poll::Ready(Some(Err(_)))) {
                    streaming.report_cut();
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(full) => full.is_end_stream(),
            Self::Guest(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(full) => full.size_hint(),
            Self::Guest(streaming) => streaming.body.size_hint(),
        }
    }
}
