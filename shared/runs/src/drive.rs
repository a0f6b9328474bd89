//! Driving a started run to its end on this request's caller and host.

use crate::budget::{Ledger, Standing};
use crate::ports::{HostClock, HostEntropy, Kept, Outbound, Secrets};
use crate::signals::Heartbeat;
use crate::start::Started;
use nodeai_app::{Caller, Scope, errors::log};
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
    let standing = standing(caller, started).await;
    let per_run = standing.as_ref().map(Standing::limit).unwrap_or_default();
    let options = Options {
        timeout_ms: timeout_ms(caller, limit).await,
        guard: UrlGuard::configured(&**caller.cx.env()).await,
        budget: started.budget.and(per_run),
        ..Options::default()
    };
    let ledger = Ledger::new(
        caller.session.clone(),
        started.execution_id.clone(),
        standing.as_ref(),
    );
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
        budget: &ledger,
    };
    let signals = Heartbeat::new(
        caller.cx.clone(),
        caller.session.clone(),
        started.execution_id.clone(),
    );
    let plan = Arc::clone(&started.plan.compiled);
    let finished = nodeai_runner::run(plan, begin, options, &ports, &signals).await;
    ledger.close().await;
    finished
}

/// What the run has to heed, as its start was told; asked for where it was not. None when the store stays away: then no
/// model is asked.
async fn standing<S: Scope>(caller: &Caller<S>, started: &Started) -> Option<Standing> {
    if started.standing.is_some() || !started.plan.compiled.asks_models() {
        return Some(started.standing.clone().unwrap_or_default());
    }
    let found = Standing::of(&caller.session, &started.execution_id).await;
    found
        .map_err(|error| log("budget_standing", &error.to_string()))
        .ok()
}

async fn timeout_ms<S: Scope>(caller: &Caller<S>, limit: Limit) -> u64 {
    let (variable, otherwise) = match limit {
        Limit::Buffered => ("nodeai_run_timeout_ms", 25_000),
        Limit::Streamed => ("nodeai_stream_timeout_ms", 3_500_000),
    };
    let set = caller.cx.env().get(variable).await;
    set.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
