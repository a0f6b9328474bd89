//! Calls of deployed workflows, by the part of this application that runs them, as the caller himself.

use super::Outcome;
use crate::ToolsRun;
use crate::outbound::Failure;
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, header};
use http_body_util::BodyDataStream;
use nodeai_app::Caller;
use nodeai_edge::http_client;
use nodeai_guard::EGRESS_FIELD;
use nodeai_sse::SseDecoder;
use nodeai_telemetry::TraceContext;
use serde::Deserialize;
use serde_json::{Value, json};

/// Where it is for the application's own components; nobody's URL leads there.
const DEPLOYMENTS: &str = "http://deployments.spin.internal/api/v1/deployments";
/// Most bytes of a run's answer.
const MOST: usize = 8 << 20;

/// A run that has ended.
#[derive(Debug, Deserialize)]
struct RunResult {
    execution_id: String,
    status: String,
    #[serde(default)]
    outputs: Value,
    #[serde(default)]
    usage: Usage,
    #[serde(default)]
    error: Option<RunFailure>,
}

#[derive(Debug, Default, Deserialize)]
struct Usage {
    #[serde(default)]
    cost_usd_micros: i64,
}

#[derive(Debug, Deserialize)]
struct RunFailure {
    kind: String,
    message: String,
}

/// Runs a deployment (its slug and environment). `progress` hears of each node that has ended.
pub async fn invoke(
    caller: &Caller<ToolsRun>,
    place: (&str, &str),
    arguments: &Value,
    trace: &TraceContext,
    progress: Option<&dyn Fn(f64, &str)>,
) -> Outcome {
    match run(caller, place, arguments, trace, progress).await {
        Ok(result) => result.into(),
        Err(failure) => failure.into(),
    }
}

async fn run(
    caller: &Caller<ToolsRun>,
    (slug, environment): (&str, &str),
    arguments: &Value,
    trace: &TraceContext,
    progress: Option<&dyn Fn(f64, &str)>,
) -> Result<RunResult, Failure> {
    let url = format!("{DEPLOYMENTS}/{slug}/invoke?environment={environment}");
    let body = json!({"inputs": arguments, "stream": progress.is_some()}).to_string();
    let mut request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("traceparent", trace.traceparent());
    for name in ["authorization", "x-organization-id", "idempotency-key"] {
        if let Some(value) = caller.cx.headers.get(name) {
            request = request.header(name, value);
        }
    }
    // Where the caller is a run that keeps to some hosts, so does this one.
    for list in caller.cx.headers.get_all(EGRESS_FIELD) {
        request = request.header(EGRESS_FIELD, list);
    }
    let request = request.body(Bytes::from(body));
    let request = request.map_err(|error| Failure::new("request", error.to_string()))?;
    caller.session.release();
    let sent = http_client::send(request).await;
    let response = sent.map_err(|error| Failure::of(&error))?;
    let (parts, body) = response.into_parts();
    let mut chunks = BodyDataStream::new(body);
    let mut events = Events::new(progress);
    let mut whole = Vec::new();
    let streamed = progress.is_some() && parts.status.is_success();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|code| Failure::of(&http_client::send_error(code)))?;
        match streamed {
            true => events.take(&chunk)?,
            false => whole.extend_from_slice(&chunk),
        }
        if whole.len() > MOST {
            return Err(Failure::new("too_large", "the run's answer is too large"));
        }
    }
    if streamed {
        return events.end.unwrap_or_else(|| Err(broken()));
    }
    let said: Value = serde_json::from_slice(&whole).unwrap_or_default();
    match parts.status.is_success() {
        true => serde_json::from_value(said).map_err(|_| broken()),
        false => Err(refused(parts.status.as_u16(), &said)),
    }
}

fn broken() -> Failure {
    Failure::passing("network", "the run's answer did not arrive whole")
}

/// A problem of the other part as a failure of the call.
fn refused(status: u16, problem: &Value) -> Failure {
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let detail = text("detail")
        .or_else(|| text("title"))
        .unwrap_or("the run was refused");
    let errors = problem.get("errors").and_then(Value::as_array);
    let first = errors.and_then(|all| all.first());
    let place = first.and_then(|one| one.get("pointer")?.as_str());
    let message = match place {
        Some(pointer) => format!("{pointer}: {detail}"),
        None => detail.to_owned(),
    };
    Failure {
        retryable: matches!(status, 429 | 503),
        ..Failure::new("run_failed", message).with_status(status)
    }
}

/// The events of a run as they come.
struct Events<'a> {
    decoder: SseDecoder,
    progress: Option<&'a dyn Fn(f64, &str)>,
    done: f64,
    end: Option<Result<RunResult, Failure>>,
}

impl<'a> Events<'a> {
    fn new(progress: Option<&'a dyn Fn(f64, &str)>) -> Self {
        Self {
            decoder: SseDecoder::new(),
            progress,
            done: 0.0,
            end: None,
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let events = self.decoder.push(chunk);
        for event in events.map_err(|error| Failure::new("network", error.to_string()))? {
            let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
            match event.event.as_str() {
                "node_finished" => {
                    self.done += 1.0;
                    let node = data.get("node_id").and_then(Value::as_str);
                    if let Some(progress) = self.progress {
                        progress(self.done, node.unwrap_or_default());
                    }
                }
                "run_finished" => {
                    self.end = Some(serde_json::from_value(data).map_err(|_| broken()));
                }
                "error" => {
                    let status = data.get("status").and_then(Value::as_u64).unwrap_or(500);
                    let status = u16::try_from(status).unwrap_or(500);
                    self.end = Some(Err(refused(status, &data)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl From<RunResult> for Outcome {
    fn from(run: RunResult) -> Self {
        let failure = (run.status != "succeeded").then(|| {
            let why = run
                .error
                .map(|error| format!("{}: {}", error.kind, error.message));
            Failure::new(
                "run_failed",
                why.unwrap_or_else(|| format!("the run was {}", run.status)),
            )
        });
        Self {
            output: run.outputs,
            failure,
            execution_id: Some(run.execution_id),
            cost_usd_micros: Some(run.usage.cost_usd_micros),
            typed: true,
            ..Self::default()
        }
    }
}
