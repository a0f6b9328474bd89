//! Driving a started run to its end on this request's caller and host.

use crate::ports::{HostClock, HostEntropy, Kept, Outbound, Secrets};
use crate::signals::Heartbeat;
use crate::start::Started;
use nodeai_app::{Caller, Scope};
use nodeai_runner::{Finished, Options, Ports, Sink, Start, UrlGuard};
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
        cache: &Kept(caller.session.clone()),
    };
    let signals = Heartbeat::new(
        caller.cx.clone(),
        caller.session.clone(),
        started.execution_id.clone(),
    );
    let plan = Arc::clone(&started.plan.compiled);
    nodeai_runner::run(plan, begin, options, &ports, &signals).await
}

async fn timeout_ms<S: Scope>(caller: &Caller<S>, limit: Limit) -> u64 {
    let (variable, otherwise) = match limit {
        Limit::Buffered => ("nodeai_run_timeout_ms", 25_000),
        Limit::Streamed => ("nodeai_stream_timeout_ms", 3_500_000),
    };
    let set = caller.cx.env().get(variable).await;
    set.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
