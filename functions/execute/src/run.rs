//! `POST /api/v1/workflows/execute`

use crate::WorkflowsRun;
use crate::commit::commit;
use crate::model::{RunRequest, RunResult};
use crate::ports::{HostClock, HostEntropy, Outbound, Secrets};
use crate::start::{Begin, Started, start};
use crate::stream;
use nodeai_app::{Caller, Valid};
use nodeai_engine::CancelReason;
use nodeai_http::reply::{Json, Response};
use nodeai_http::{IntoReply, Problem, openapi::Describe};
use nodeai_runner::{Finished, NoSink, Options, Ports, Sink, Start, UrlGuard};
use serde_json::{Value, json};
use std::sync::Arc;

/// A run's answer: JSON at its end, or a stream of events.
pub struct Reply(Response);

impl IntoReply for Reply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.json_response::<RunResult>(
            "200",
            "The run has ended (also when it failed); with stream, text/event-stream",
        );
        op.problem("404", "There is no such workflow");
        op.problem(
            "409",
            "The first request with this Idempotency-Key is still running",
        );
    }
}

/// Runs to the end and answers, or answers at once and streams.
pub async fn handle(
    caller: Caller<WorkflowsRun>,
    Valid(request): Valid<RunRequest>,
) -> Result<Reply, Problem> {
    let streamed = request.stream;
    let started = match start(&caller, request).await? {
        Begin::Run(started) => *started,
        Begin::Replay(result) if streamed => return Ok(Reply(stream::replay(*result))),
        Begin::Replay(result) => {
            let name = http::HeaderName::from_static("idempotency-replayed");
            return Ok(Reply(Json::ok(*result).header(name, "true").into_reply()));
        }
    };
    if streamed {
        return Ok(Reply(stream::open(caller, started)));
    }
    let finished = drive(&caller, &started, &NoSink, Limit::Buffered).await;
    let result = commit(&caller, &started, finished).await?;
    Ok(Reply(Json::ok(result).into_reply()))
}

/// How long a run may take: a buffered answer has to come before the host's own limit, so that the run can still say
/// that it ran out of time and leave its trace.
#[derive(Clone, Copy)]
pub enum Limit {
    /// One answer at the end.
    Buffered,
    /// Events as they come.
    Streamed,
}

/// Drives a run to its end.
pub async fn drive<L: Sink>(
    caller: &Caller<WorkflowsRun>,
    started: &Started,
    sink: &L,
    limit: Limit,
) -> Finished {
    let options = Options {
        timeout_ms: timeout_ms(caller, limit).await,
        guard: guard(caller).await,
        ..Options::default()
    };
    let begin = Start {
        execution_id: started.execution_id.clone(),
        name: started.name.clone(),
        inputs: started.plan.inputs.clone(),
        trace: caller.cx.trace,
    };
    let ports = Ports {
        http: &Outbound(caller.session.clone()),
        clock: &HostClock(caller.cx.app.clone()),
        entropy: &HostEntropy,
        secrets: &Secrets {
            cx: caller.cx.clone(),
            session: caller.session.clone(),
            execution_id: started.execution_id.clone(),
        },
        sink,
    };
    let plan = Arc::clone(&started.plan.compiled);
    nodeai_runner::run(plan, begin, options, &ports, cancelled(caller, started)).await
}

async fn timeout_ms(caller: &Caller<WorkflowsRun>, limit: Limit) -> u64 {
    let (variable, otherwise) = match limit {
        Limit::Buffered => ("nodeai_run_timeout_ms", 25_000),
        Limit::Streamed => ("nodeai_stream_timeout_ms", 3_500_000),
    };
    let set = caller.cx.env().get(variable).await;
    set.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

async fn guard(caller: &Caller<WorkflowsRun>) -> UrlGuard {
    let allowed = caller
        .cx
        .env()
        .get("nodeai_allow_private_hosts")
        .await
        .unwrap_or_default();
    UrlGuard::allowing(allowed.split(',').map(str::to_owned))
}

/// Resolves when somebody has asked for the run's end: looks once a second, which is also the run's sign of life.
async fn cancelled(caller: &Caller<WorkflowsRun>, started: &Started) -> CancelReason {
    let args = json!({"id": started.execution_id, "org_id": caller.org_id()});
    loop {
        caller.cx.env().sleep_ms(1_000).await;
        // A look that fails says nothing; the next one may.
        let seen = caller.session.call::<Value>("run_heartbeat", &args).await;
        if seen.is_ok_and(|answer| answer["cancel_requested"] == true) {
            return CancelReason::Requested;
        }
    }
}
