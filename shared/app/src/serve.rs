//! Dispatch: every request gets an answer with trace headers, rate-limit fields and a true length.

use crate::app::App;
use crate::body::{BodyFault, BodyStream, collect};
use crate::clock;
use crate::cx::Cx;
use crate::spans;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use nodeai_http::reply::Response;
use nodeai_http::{Body, Problem};
use nodeai_store::{Policy, Rate};
use nodeai_telemetry::{Buffer, TraceContext};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// What came in; of the body nothing has been read yet.
pub struct Incoming {
    /// Method.
    pub method: Method,
    /// Path without query.
    pub path: String,
    /// Query string, maybe empty.
    pub query: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, where there may be one.
    pub body: Option<BodyStream>,
}

/// Serves one request.
pub async fn serve(app: Rc<App>, incoming: Incoming) -> Response {
    let head = incoming.method == Method::HEAD;
    let settings = app.settings().await;
    let cors = settings.cors_origin.clone();
    if incoming.method == Method::OPTIONS {
        return preflight(&app, &cors);
    }
    let started_us = clock::now_us();
    let traceparent = incoming
        .headers
        .get("traceparent")
        .and_then(|v| v.to_str().ok());
    let trace = TraceContext::continue_or_root(traceparent, clock::random());
    let mut cx = Cx {
        settings,
        method: incoming.method,
        path: incoming.path,
        query: incoming.query,
        headers: incoming.headers,
        body: Bytes::new(),
        parameters: Vec::new(),
        pattern: String::new(),
        trace,
        started_us,
        spans: Buffer::new(),
        own_trace: Cell::new(false),
        session: RefCell::new(None),
        rate: RefCell::new(None),
        incoming: RefCell::new(None),
        digest: RefCell::new(None),
        app,
    };
    let (cx, result) = match route(&mut cx, incoming.body).await {
        Ok(run) => {
            let cx = Rc::new(cx);
            let result = run.run(cx.clone()).await;
            (cx, result)
        }
        Err(problem) => (Rc::new(cx), Err(problem)),
    };
    cx.discard_rest().await;
    let mut response = result.unwrap_or_else(|problem| finish_problem(problem, &cx));
    add_headers(&mut response, &cx, &cors);
    spans::flush_later(&cx, response.status());
    if head {
        *response.body_mut() = Body::Full(Bytes::new());
    }
    response
}

async fn route(cx: &mut Cx, body: Option<BodyStream>) -> Result<nodeai_http::Matched<Cx>, Problem> {
    let app = cx.app.clone();
    let matched = app.router.find(&cx.method, &cx.path);
    if matched.as_ref().is_ok_and(|route| route.streamed) {
        cx.incoming.replace(body);
    } else if let Some(body) = body {
        // Also for a route that there is not: who is still sending would not see the answer.
        match collect(body, cx.settings.max_body).await {
            Ok(bytes) => cx.body = bytes,
            Err(fault) if matched.is_ok() => return Err(body_problem(fault)),
            Err(_) => {}
        }
    }
    let matched = matched?;
    cx.parameters = matched.parameters.clone();
    cx.pattern = matched.pattern.clone();
    Ok(matched)
}

/// A body that could not be read, as a problem.
pub fn body_problem(fault: BodyFault) -> Problem {
    match fault {
        BodyFault::TooLarge { limit } => {
            Problem::too_large(format!("the body may have at most {limit} bytes"))
        }
        BodyFault::Broken => Problem::invalid_input("the body did not arrive whole"),
    }
}

fn finish_problem(mut problem: Problem, cx: &Cx) -> Response {
    problem.trace_id = Some(cx.trace.trace_id.to_string());
    problem.instance = Some(cx.path.clone());
    problem.into_response()
}

fn add_headers(response: &mut Response, cx: &Cx, cors: &str) {
    let length = match response.body() {
        Body::Full(bytes) => Some(bytes.len()),
        Body::Stream(_) => None,
    };
    let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    let no_body = without.contains(&response.status());
    let headers = response.headers_mut();
    // Without it a stock host sends head and body apart, which stalls on a kept-alive connection.
    if let Some(length) = length.filter(|_| !no_body) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    put(headers, "traceparent", &cx.trace.traceparent());
    put(headers, "x-trace-id", &cx.trace.trace_id.to_string());
    put(headers, "x-content-type-options", "nosniff");
    add_cors(headers, cors);
    if let Some(rate) = cx.rate.borrow().as_ref().filter(|rate| rate.limit > 0) {
        add_rate(headers, rate);
    }
    if let Some(session) = cx.session() {
        let ms = cx.elapsed_us() as f64 / 1000.0;
        let timing = format!(
            "db;desc=\"{} statements\", total;dur={ms:.2}",
            session.statements()
        );
        put(headers, "server-timing", &timing);
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
fn add_rate(headers: &mut HeaderMap, rate: &Rate) {
    let policy = |p: &Policy| format!("\"{}\";q={};w={}", p.policy, p.limit, p.window_s);
    let policies: Vec<String> = rate.policies.iter().map(policy).collect();
    put(headers, "ratelimit-policy", &policies.join(", "));
    let reset_s = u64::try_from(rate.reset_ms).unwrap_or(0).div_ceil(1000);
    let remaining = rate.remaining.max(0);
    let state = format!("\"{}\";r={remaining};t={reset_s}", rate.policy);
    put(headers, "ratelimit", &state);
}

/// Header fields that a page of another origin may send: those of every area, and of ranges and tus uploads.
const ALLOWED: &str = "authorization, content-type, if-match, if-none-match, if-range, range, idempotency-key, \
    traceparent, x-organization-id, content-digest, repr-digest, content-disposition, tus-resumable, upload-length, \
    upload-defer-length, upload-offset, upload-metadata, upload-checksum";
/// And those that it may read.
const EXPOSED: &str = "etag, location, traceparent, x-trace-id, ratelimit, ratelimit-policy, retry-after, \
    accept-ranges, content-range, content-disposition, repr-digest, tus-resumable, tus-version, tus-extension, \
    tus-max-size, tus-checksum-algorithm, upload-offset, upload-length, upload-defer-length, upload-metadata, \
    upload-expires";

fn preflight(app: &App, cors: &str) -> Response {
    let mut response = Response::new(Body::Full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    add_cors(headers, cors);
    put(
        headers,
        "access-control-allow-methods",
        "GET, HEAD, POST, PUT, PATCH, DELETE",
    );
    put(headers, "access-control-allow-headers", ALLOWED);
    put(headers, "access-control-max-age", "86400");
    for (name, value) in &app.announced {
        put(headers, name, value);
    }
    response
}

fn add_cors(headers: &mut HeaderMap, origin: &str) {
    put(headers, "access-control-allow-origin", origin);
    put(headers, "access-control-expose-headers", EXPOSED);
    if origin != "*" {
        put(headers, "vary", "origin");
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
