//! The component's entry: one request, one call of the node, one answer.

use serde_json::{Value, json};
use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, Method, ResponseOutparam};

use crate::MOST_REQUEST;
use crate::wire::{self, Fault, Job};

wit_bindgen::generate!({ path: "../../wit/node", world: "shell" });
use nodeai::node::node;

struct Shell;
wasip2::http::proxy::export!(Shell);

impl Guest for Shell {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let answer = match request.method() {
            Method::Get => describe(),
            Method::Post => read(&request).and_then(|job| run(job, &lists(&request))),
            _ => Err(fault(405, "Method not allowed", "GET describes, POST runs")),
        };
        let (status, body) = match answer {
            Ok(body) => (200, body),
            Err(fault) => (fault.status, json!(fault)),
        };
        nodeai_once::send(out, status, &body.to_string());
    }
}

fn describe() -> Result<Value, Fault> {
    let about = node::describe();
    Ok(json!({
        "title": about.title,
        "description": about.description,
        "config_schema": wire::json("config schema", &about.config_schema)?,
        "output_schema": wire::json("output schema", &about.output_schema)?,
        "example": wire::json("example", &about.example)?,
        "handles": about.handles,
        "hosts": about.hosts,
    }))
}

/// The hosts to which the caller's workflows keep, a list for each field. What cannot be read allows none.
fn lists(request: &IncomingRequest) -> Vec<String> {
    let fields = request.headers().get(nodeai_guard::EGRESS_FIELD);
    let lists = fields.into_iter().map(String::from_utf8);
    lists.map(Result::unwrap_or_default).collect()
}

fn run(job: Job, lists: &[String]) -> Result<Value, Fault> {
    if !lists.is_empty()
        && let Some(refused) = wire::refused(&node::describe().hosts, lists)
    {
        return Ok(refused);
    }
    let report = node::run(&node::Call {
        config: job.config.to_string(),
        input: job.input.to_string(),
        idempotency_key: job.idempotency_key,
        timeout_ms: job.timeout_ms,
    });
    let logs: Vec<Value> = report.logs.iter().map(log_line).collect();
    Ok(match report.ended {
        Ok(outcome) => {
            let output = wire::json("output", &outcome.output)?;
            json!({"result": output, "handle": outcome.handle, "logs": logs})
        }
        Err(failure) => {
            json!({"logs": logs, "failure": {"kind": failure.kind, "message": failure.message,
            "pointer": failure.pointer, "retryable": failure.retryable}})
        }
    })
}

fn log_line(line: &node::LogLine) -> Value {
    let level = match line.level {
        node::Level::Debug => "debug",
        node::Level::Info => "info",
        node::Level::Warn => "warn",
        node::Level::Error => "error",
    };
    json!({"level": level, "text": line.text})
}

/// The request's job, up to the limit.
fn read(request: &IncomingRequest) -> Result<Job, Fault> {
    let unread = |unread: nodeai_once::Unread| fault(unread.status(), "Not a job", unread.detail());
    let bytes = nodeai_once::read(request, MOST_REQUEST).map_err(unread)?;
    serde_json::from_slice(&bytes).map_err(|error| fault(400, "Not a job", &error.to_string()))
}

fn fault(status: u16, title: &'static str, detail: &str) -> Fault {
    Fault {
        title,
        status,
        detail: detail.to_owned(),
    }
}
