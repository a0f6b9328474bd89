//! Driving a started run to its end on this request's caller and host.

use crate::ports::{HostClock, HostEntropy, Outbound, Secrets};
use crate::start::Started;
use nodeai_app::{Caller, Scope};
use nodeai_engine::CancelReason;
use nodeai_runner::{Finished, Options, Ports, Sink, Start, UrlGuard};
use serde_json::{Value, json};
use std::sync::Arc;

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
pub async fn drive<S: Scope, L: Sink>(
    caller: &Caller<S>,
    started: &Started,
    sink: &L,
    limit: Limit,
) -> Finished {
    let options = Options {
        timeout_ms: timeout_ms(caller, limit).await,
        guard: UrlGuard::configured(&**caller.cx.env()).await,
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
            environment: started.environment.clone(),
        },
        sink,
    };
    let plan = Arc::clone(&started.plan.compiled);
    nodeai_runner::run(plan, begin, options, &ports, cancelled(caller, started)).await
}

async fn timeout_ms<S: Scope>(caller: &Caller<S>, limit: Limit) -> u64 {
    let (variable, otherwise) = match limit {
        Limit::Buffered => ("nodeai_run_timeout_ms", 25_000),
        Limit::Streamed => ("nodeai_stream_timeout_ms", 3_500_000),
    };
    let set = caller.cx.env().get(variable).await;
    set.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Resolves when somebody has asked for the run's end: looks once a second, which is also the run's sign of life.
async fn cancelled<S: Scope>(caller: &Caller<S>, started: &Started) -> CancelReason {
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
