//! Driving a run on this request's caller and host: to its end, or as far as a slice of a queued run goes.

use crate::ports::{HostClock, HostEntropy, Kept, Outbound, Secrets};
use crate::signals::Heartbeat;
use crate::start::Started;
use nodeai_app::{Caller, Scope};
use nodeai_engine::Illegal;
use nodeai_runner::{
    Begin, Ended, Finished, Journaling, NoSink, Options, Ports, Sink, Start, UrlGuard, work,
};
use std::sync::Arc;

/// How long a run may take: a buffered answer has to come before the host's own limit, so that the run can still say
/// that it ran out of time and leave its trace. Each is a variable (ms) and what holds without it.
pub struct Limit(&'static str, u64);

/// One answer at the end.
pub const BUFFERED: Limit = Limit("nodeai_run_timeout_ms", 25_000);
/// Events as they come.
pub const STREAMED: Limit = Limit("nodeai_stream_timeout_ms", 3_500_000);
/// Queued: 30 days, since it may wait for people.
pub const QUEUED: Limit = Limit("nodeai_queued_timeout_ms", 2_592_000_000);

/// What a run's ports stand on.
struct Edge {
    http: Outbound,
    clock: HostClock,
    secrets: Secrets,
    cache: Kept,
}

impl Edge {
    fn new<S: Scope>(caller: &Caller<S>, started: &Started) -> Self {
        Self {
            http: Outbound(caller.session.clone()),
            clock: HostClock(caller.cx.app.clone()),
            secrets: Secrets {
                cx: caller.cx.clone(),
                session: caller.session.clone(),
                execution_id: started.execution_id.clone(),
                environment: started.environment.clone(),
            },
            cache: Kept(caller.session.clone()),
        }
    }

    fn ports<'a, L: Sink>(
        &'a self,
        sink: &'a L,
    ) -> Ports<'a, Outbound, HostClock, HostEntropy, Secrets, L, Kept> {
        Ports {
            http: &self.http,
            clock: &self.clock,
            entropy: &HostEntropy,
            secrets: &self.secrets,
            sink,
            cache: &self.cache,
        }
    }
}

/// Drives a run to its end.
pub async fn drive<S: Scope, L: Sink>(
    caller: &Caller<S>,
    started: &Started,
    sink: &L,
    limit: Limit,
) -> Finished {
    let options = options(caller, limit).await;
    let edge = Edge::new(caller, started);
    let id = started.execution_id.clone();
    let signals = Heartbeat::new(caller.cx.clone(), caller.session.clone(), id);
    let plan = Arc::clone(&started.plan.compiled);
    let begin = begin(caller, started);
    nodeai_runner::run(plan, begin, options, &edge.ports(sink), &signals).await
}

/// Begins a queued run, or goes on with it, as far as its slice goes.
///
/// # Errors
/// When the log is not one of this document.
pub async fn drive_queued<S: Scope>(
    caller: &Caller<S>,
    started: &Started,
    log: Vec<nodeai_engine::Event>,
    signals: &Heartbeat,
    journaling: Journaling<'_>,
) -> Result<Ended, Illegal> {
    let options = options(caller, QUEUED).await;
    let edge = Edge::new(caller, started);
    let plan = Arc::clone(&started.plan.compiled);
    let begin = match log.is_empty() {
        true => Begin::New(Box::new(begin(caller, started))),
        false => Begin::Log(log),
    };
    let ports = edge.ports(&NoSink);
    work(plan, begin, options, &ports, signals, journaling).await
}

fn begin<S: Scope>(caller: &Caller<S>, started: &Started) -> Start {
    Start {
        execution_id: started.execution_id.clone(),
        name: started.name.clone(),
        inputs: started.plan.inputs.clone(),
        trace: caller.cx.trace,
    }
}

async fn options<S: Scope>(caller: &Caller<S>, limit: Limit) -> Options {
    let Limit(variable, otherwise) = limit;
    let set = caller.cx.env().get(variable).await;
    Options {
        timeout_ms: set.and_then(|text| text.parse().ok()).unwrap_or(otherwise),
        guard: UrlGuard::configured(&**caller.cx.env()).await,
        ..Options::default()
    }
}
