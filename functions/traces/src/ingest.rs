//! `POST /api/v1/traces` and `POST /v1/traces`: OTLP/HTTP.

use crate::{TracesWrite, prices};
use http::{HeaderValue, StatusCode, header};
use nodeai_app::{Caller, clock};
use nodeai_http::openapi::Describe;
use nodeai_http::reply::{Body, Response};
use nodeai_http::{IntoReply, Problem};
use nodeai_otel::{Encoding, Fault, Normalised, Prices, failure, normalise_at, read, success};
use nodeai_telemetry::terms;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Spans of one statement: a request with more is stored in several. Each of them is durable by itself, and a retry
/// stores what is missing.
const CHUNK: usize = 2_000;

/// `ExportTraceServiceResponse`, or `google.rpc.Status`.
pub struct Export(Response);

impl IntoReply for Export {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        let schema = json!({"schema": {"type": "object"}});
        let content = json!({"application/json": schema, "application/x-protobuf": {}});
        let stored = "Stored, and durable; `partialSuccess` says what was rejected and why";
        op.response("200", json!({"description": stored, "content": content}));
        op.problem("400", "The body is no OTLP");
        op.problem("413", "More bytes or spans than a request may have");
        op.problem(
            "415",
            "Neither protobuf nor JSON, or a compression other than gzip",
        );
    }
}

/// Stores the spans, then answers.
pub async fn handle(caller: Caller<TracesWrite>) -> Result<Export, Problem> {
    let Some(encoding) = Encoding::of(caller.cx.header("content-type").unwrap_or_default()) else {
        return Err(Problem::unsupported_media_type(
            "send application/x-protobuf or application/json",
        ));
    };
    let compression = caller.cx.header("content-encoding");
    let now_us = clock::now_us();
    let spans = |prices: &Prices| -> Result<Normalised, Fault> {
        let request = read(&caller.cx.body, encoding, compression)?;
        Ok(normalise_at(request, now_us, prices))
    };
    let normalised = match stored(&caller, spans).await {
        Ok(normalised) => normalised,
        Err(Unstored::Fault(fault)) => return Ok(refusal(encoding, &fault)),
        Err(Unstored::Problem(problem)) => return Err(*problem),
    };
    // A trace of each delivery would hide the traces that are delivered.
    caller.cx.own_trace.set(true);
    Ok(accepted(encoding, &normalised))
}

/// Why nothing was stored.
enum Unstored {
    /// The request is not one.
    Fault(Fault),
    /// The store refuses, or is away.
    Problem(Box<Problem>),
}

/// Stores the spans at the organisation's prices. The statement that stores them says when those are others than the ones
/// known here, and stores nothing: then it is done once more. Prices that change all the time are taken as they are.
async fn stored(
    caller: &Caller<TracesWrite>,
    spans: impl Fn(&Prices) -> Result<Normalised, Fault>,
) -> Result<Normalised, Unstored> {
    let mut known = prices::known(caller.org_id());
    let mut tries = 3;
    loop {
        let mut made = spans(&known.prices).map_err(Unstored::Fault)?;
        made.spans.chunks_mut(CHUNK).for_each(mark_terms);
        tries -= 1;
        let mark = (tries > 0).then_some(known.mark.as_str());
        match store(caller, &made.spans, mark).await {
            Ok(None) => return Ok(made),
            Ok(Some(others)) => known = prices::learn(caller.org_id(), others),
            Err(problem) => return Err(Unstored::Problem(Box::new(problem))),
        }
    }
}

/// Gives the first span of each trace the terms by which the trace is found, as far as it is among these spans.
fn mark_terms(spans: &mut [Value]) {
    let mut traces: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, span) in spans.iter().enumerate() {
        let trace = span["trace_id"].as_str().unwrap_or_default();
        traces.entry(trace).or_default().push(at);
    }
    let marks: Vec<(usize, Option<Vec<i32>>)> = traces
        .into_values()
        .map(|places| {
            let attributes = places
                .iter()
                .filter_map(|at| spans[*at]["attributes"].as_object());
            (places[0], terms::terms(attributes))
        })
        .collect();
    for (at, found) in marks {
        spans[at]["terms"] = json!(found);
    }
}

/// What `spans_ingest` takes. Borrowed: the spans of a batch are most of a request, and a copy of them as JSON values costs as
/// much as reading them did.
#[derive(Serialize)]
struct Batch<'a> {
    org_id: &'a str,
    spans: &'a [Value],
    prices: Option<&'a str>,
}

/// Stores spans that were priced by what `mark` stands for. Answers the prices that count instead, where they do.
async fn store(
    caller: &Caller<TracesWrite>,
    spans: &[Value],
    mark: Option<&str>,
) -> Result<Option<prices::Stored>, Problem> {
    for chunk in spans.chunks(CHUNK) {
        let args = Batch {
            org_id: caller.org_id(),
            spans: chunk,
            prices: mark,
        };
        let answer: prices::Answer = caller.call("spans_ingest", &args).await?;
        if let Some(others) = answer.prices {
            return Ok(Some(others));
        }
    }
    Ok(None)
}

fn accepted(encoding: Encoding, normalised: &Normalised) -> Export {
    let rejected = normalised.rejected.len();
    let body = success(encoding, rejected, &normalised.reasons());
    answer(StatusCode::OK, encoding, body)
}

fn refusal(encoding: Encoding, fault: &Fault) -> Export {
    let status = match fault {
        Fault::UnknownCompression(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Fault::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::Malformed(_) => StatusCode::BAD_REQUEST,
    };
    let body = failure(encoding, status.as_u16(), &fault.to_string());
    answer(status, encoding, body)
}

fn answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Export {
    let mut response = Response::new(Body::Full(body.into()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(encoding.media_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Export(response)
}
