//! Driving a run on this request's caller and host: to its end, or as far as a slice of a queued run goes.

use crate::address::Addresses;
use crate::areas::Areas;
use crate::budget::{Ledger, Standing};
use crate::databases::Databases;
use crate::memory::Conversations;
use crate::ports::{HostClock, HostEntropy, Kept, Outbound, Secrets};
use crate::signals::Heartbeat;
use crate::start::Started;
use nodeai_app::{Caller, Scope, errors::log};
use nodeai_engine::{Illegal, MOST_DEPTH, RunBudget};
use nodeai_runner::{
    Begin, Ended, Finished, Journaling, NoSink, Options, Ports, Sink, Start, work,
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
    ledger: Ledger,
    databases: Databases,
    areas: Areas,
    memory: Conversations,
    addresses: Addresses,
    options: Options,
}

impl Edge {
    async fn new<S: Scope>(caller: &Caller<S>, started: &Started, limit: Limit) -> Self {
        let standing = standing(caller, started).await;
        let per_run = standing.as_ref().map(Standing::limit).unwrap_or_default();
        let budget = started.budget.and(per_run);
        let id = started.execution_id.clone();
        Self {
            ledger: Ledger::new(
                caller.cx.clone(),
                caller.session.clone(),
                id,
                standing.as_ref(),
            ),
            options: Options {
                max_depth: started.policy.max_depth.unwrap_or(MOST_DEPTH),
                ..options(caller, limit, budget).await
            },
            http: Outbound(caller.session.clone()),
            clock: HostClock {
                app: caller.cx.app.clone(),
                session: caller.session.clone(),
            },
            secrets: Secrets {
                cx: caller.cx.clone(),
                session: caller.session.clone(),
                execution_id: started.execution_id.clone(),
                environment: started.environment.clone(),
            },
            cache: Kept(caller.session.clone()),
            databases: Databases {
                cx: caller.cx.clone(),
                session: caller.session.clone(),
            },
            areas: Areas::new(caller.session.clone(), started.execution_id.clone()),
            memory: Conversations {
                session: caller.session.clone(),
                execution_id: started.execution_id.clone(),
                workflow_id: started.workflow_id.clone(),
            },
            addresses: Addresses::of(&caller.cx, &started.execution_id).await,
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
            budget: &self.ledger,
            databases: &self.databases,
            areas: &self.areas,
            memory: &self.memory,
            addresses: &self.addresses,
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
    let edge = Edge::new(caller, started, limit).await;
    let id = started.execution_id.clone();
    let signals = Heartbeat::new(caller.cx.clone(), caller.session.clone(), id);
    let plan = Arc::clone(&started.plan.compiled);
    let begin = begin(caller, started);
    let (options, ports) = (edge.options.clone(), edge.ports(sink));
    let finished = nodeai_runner::run(plan, begin, options, &ports, &signals).await;
    edge.ledger.close().await;
    finished
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
    let edge = Edge::new(caller, started, QUEUED).await;
    let plan = Arc::clone(&started.plan.compiled);
    let begin = match log.is_empty() {
        true => Begin::New(Box::new(begin(caller, started))),
        false => Begin::Log(log),
    };
    let (options, ports) = (edge.options.clone(), edge.ports(&NoSink));
    let ended = work(plan, begin, options, &ports, signals, journaling).await;
    edge.ledger.close().await;
    ended
}

fn begin<S: Scope>(caller: &Caller<S>, started: &Started) -> Start {
    Start {
        execution_id: started.execution_id.clone(),
        name: started.name.clone(),
        inputs: started.plan.inputs.clone(),
        trace: caller.cx.trace,
        labels: started.labels.clone(),
    }
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

async fn options<S: Scope>(caller: &Caller<S>, limit: Limit, budget: RunBudget) -> Options {
    let Limit(variable, otherwise) = limit;
    let set = caller.cx.env().get(variable).await;
    Options {
        timeout_ms: set.and_then(|text| text.parse().ok()).unwrap_or(otherwise),
        // Another run that began this one may hold it to its own hosts.
        guard: caller.cx.guard().await,
        budget,
        user_id: caller.session.principal.user_id.clone(),
        ..Options::default()
    }
}
