//! The request's own spans: one root span, flushed in one call after the response, never lost in silence.

use crate::clock;
use crate::cx::Cx;
use crate::errors::log;
use crate::settings::RequestSpans;
use http::StatusCode;
use nodeai_ports::Env;
use nodeai_store::Session;
use nodeai_telemetry::{Kind, Span, Status, otlp, terms};
use serde_json::{Value, json};
use std::rc::Rc;

/// Waits between the tries of a flush, ms.
const BACKOFF_MS: [u64; 3] = [100, 400, 1_600];
/// Marks a log line that holds spans which could not be stored; `nodeai spans replay` reads such lines.
pub const LOG_PREFIX: &str = "nodeai-spans: ";

/// Starts the flush of the request's spans, to go on after the response. Requests that were not admitted have no
/// tenant to keep a trace for; the host's log has them.
pub fn flush_later(cx: &Rc<Cx>, status: StatusCode) {
    let Some(session) = cx.session() else {
        return;
    };
    if cx.own_trace.get() || !wanted(cx, status) {
        return;
    }
    let mut spans = vec![root(cx, &session, status)];
    spans.extend(cx.spans.take());
    let args = flush_args(cx, &session, &spans);
    cx.session.replace(None);
    let env = cx.env().clone();
    cx.env().spawn(Box::pin(async move {
        flush(&*env, &session, args, spans).await;
    }));
}

fn wanted(cx: &Cx, status: StatusCode) -> bool {
    match cx.settings.request_spans {
        RequestSpans::All => true,
        RequestSpans::Writes => !cx.method.is_safe() || status.as_u16() >= 400,
        RequestSpans::Off => false,
    }
}

async fn flush(env: &dyn Env, session: &Session, args: Value, spans: Vec<Span>) {
    let mut last = String::new();
    for wait in std::iter::once(0).chain(BACKOFF_MS) {
        if wait > 0 {
            env.sleep_ms(wait).await;
        }
        match session.call::<Value>("spans_flush", &args).await {
            Ok(_) => return,
            Err(error) => last = error.to_string(),
        }
        // The connection may be what is broken.
        session.release();
    }
    log("spans not stored", &last);
    write_to_log(session.org_id(), &spans);
}

/// Writes spans to the log as one line of OTLP JSON with the organisation as a resource attribute.
pub fn write_to_log(org_id: &str, spans: &[Span]) {
    let mut resource = nodeai_telemetry::Attributes::new();
    resource.insert("nodeai.org_id".to_owned(), json!(org_id));
    let document = otlp::to_json(spans, &resource);
    eprintln!("{LOG_PREFIX}{document}");
}

fn root(cx: &Cx, session: &Session, status: StatusCode) -> Span {
    let name = format!("{} {}", cx.method, cx.pattern);
    let mut span = Span::new(cx.trace.trace_id, cx.trace.span_id, name, cx.started_us);
    span.parent_span_id = cx.trace.parent;
    span.kind = Kind::Server;
    span.end_us = clock::now_us().max(cx.started_us);
    span.status = match status.is_server_error() {
        true => Status::Error,
        false => Status::Ok,
    };
    span.set("http.request.method", cx.method.as_str());
    span.set("http.route", cx.pattern.as_str());
    span.set("http.response.status_code", status.as_u16());
    span.set("nodeai.area", cx.app.area);
    span.set("nodeai.db.statements", session.statements());
    span
}

fn flush_args(cx: &Cx, session: &Session, spans: &[Span]) -> Value {
    let root = &spans[0];
    json!({
        "org_id": session.org_id(),
        "traces": [{
            "trace_id": root.trace_id, "name": root.name, "kind": "request",
            "status": root.status, "start_us": root.start_us, "duration_us": root.duration_us(),
            "user_id": session.principal.user_id, "span_count": spans.len(),
            "attributes": {"http.route": cx.pattern}, "terms": terms::terms(spans.iter().map(|span| &span.attributes)),
        }],
        "spans": spans,
    })
}
