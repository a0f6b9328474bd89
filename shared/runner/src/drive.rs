//! The driver: performs the engine's commands, reports what comes of them, and keeps the log.

mod keeping;
mod starting;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use futures::StreamExt;
use futures::future::{
    AbortHandle, Abortable, Either, FusedFuture, FutureExt, LocalBoxFuture, pending, select,
};
use futures::stream::FuturesUnordered;
use nodeai_engine::{
    AttemptResult, CallMeta, CancelReason, Command, Compiled, Due, Event, Redactor, Run, Status,
    What, spans_of, totals_of, unsettled_of,
};
use serde_json::Value;

use crate::attempt::{Shared, Which};
use crate::budget::Meter;
use crate::durable::{Ended, Journaling};
use crate::run::{Finished, Options};
use crate::secrets::Held;
use crate::{
    CachePort, Clock, Entropy, HttpPort, Ports, SecretPort, Signal, Signals, Sink, Waits, live,
};

pub(crate) fn shared<'a, H, C, E, S, L, K>(
    ports: &'a Ports<'a, H, C, E, S, L, K>,
    options: &'a Options,
    plan: &Arc<Compiled>,
    log: &[Event],
) -> Shared<'a, H, C, E, S, L, K> {
    let mut redactor = Redactor::default();
    // Whoever was sent an address may send it back, to a driver that never gave it away.
    if plan.gives_addresses()
        && let Some(address) = ports.addresses.address("")
    {
        redactor.add(&address.secret);
    }
    Shared {
        ports,
        guard: &options.guard,
        user_id: options.user_id.as_deref(),
        plan: plan.clone(),
        meter: Meter::new(
            options.budget.and(plan.budget()),
            totals_of(log),
            unsettled_of(log),
        ),
        redactor: RefCell::new(redactor),
        closed: Cell::new(false),
    }
}

/// How often the driver looks whether its listener is still there, µs.
const BEAT_US: u64 = 1_000_000;

/// Something that the driver waited for.
enum Done {
    Attempt {
        node: String,
        attempt: u32,
        call: Box<CallMeta>,
        result: AttemptResult,
    },
    Due {
        node: String,
        due: Due,
    },
    /// The engine had it dropped; whether it was a call.
    Dropped {
        call: bool,
    },
}

/// What a driver waited for.
enum Next {
    Done(Done),
    Signal(Signal),
}

pub(crate) struct Driver<'a, H, C, E, S, L, K> {
    shared: &'a Shared<'a, H, C, E, S, L, K>,
    run: Run,
    log: Vec<Event>,
    commands: VecDeque<Command>,
    tasks: FuturesUnordered<LocalBoxFuture<'a, Done>>,
    /// Ends a node's tasks.
    aborts: BTreeMap<String, Vec<AbortHandle>>,
    /// What each node has opened: an attempt after the first, or in another iteration, opens
    /// nothing again.
    held: BTreeMap<String, Rc<Held>>,
    deadline_us: i64,
    /// When its error workflow began, and how long that may take at least.
    failed_us: Option<i64>,
    grace_us: i64,
    /// Where the log is kept as it grows, for a run that outlives its driver.
    journal: Option<Journaling<'a>>,
    /// How many events of the log are kept already.
    kept: usize,
    /// Attempts at calls that are under way.
    calls: usize,
    /// Whether a node began to wait, or ended it, since somebody was told.
    waits_changed: bool,
}

impl<'a, H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Driver<'a, H, C, E, S, L, K>
{
    pub(crate) fn new(
        shared: &'a Shared<'a, H, C, E, S, L, K>,
        run: Run,
        log: Vec<Event>,
        journal: Option<Journaling<'a>>,
    ) -> Self {
        let failed = |event: &&Event| event.what == What::ErrorWorkflowStarted;
        Self {
            shared,
            run,
            failed_us: log.iter().find(failed).map(|event| event.at_us),
            grace_us: 0,
            journal,
            kept: log.len(),
            calls: 0,
            log,
            commands: VecDeque::new(),
            tasks: FuturesUnordered::new(),
            aborts: BTreeMap::new(),
            held: BTreeMap::new(),
            deadline_us: i64::MAX,
            waits_changed: true,
        }
    }

    /// Drives the run to its end, or as far as its journal lets it.
    pub(crate) async fn drive(
        mut self,
        deadline_us: i64,
        timeout_ms: u64,
        signals: &impl Signals,
    ) -> Ended {
        let clock = self.shared.ports.clock;
        self.deadline_us = deadline_us;
        self.grace_us = grace_us(timeout_ms);
        let limit_at = |us: i64| {
            let left_us = u64::try_from(us.saturating_sub(clock.now_us())).unwrap_or(0);
            let over = clock.sleep(left_us);
            over.map(|()| Signal::Cancel(CancelReason::Timeout)).fuse()
        };
        let mut limit = pin!(limit_at(self.deadline_us()));
        let listened = self.shared.ports.sink.wants_events();
        let mut beat = pin!(clock.sleep(BEAT_US));
        let waits = Waits::default();
        let mut signal = signals.next(&waits).boxed_local();
        while self.run.outcome().is_none() {
            self.perform().await;
            if self.shared.closed.get() {
                self.cancel(CancelReason::ClientGone).await;
            }
            if self.run.outcome().is_some() {
                break;
            }
            if self.waits_changed {
                self.waits_changed = false;
                waits.replace(self.run.waits());
            }
            if let Some(until_us) = self.may_rest() {
                // What was said already is heard first.
                let Some(said) = (&mut signal).now_or_never() else {
                    drop(signal);
                    return self.rest(until_us);
                };
                if said == Signal::Lost {
                    return Ended::Lost;
                }
                signal = signals.next(&waits).boxed_local();
                self.hear(said).await;
                continue;
            }
            if self.keep().await.is_err() {
                return Ended::Lost;
            }
            if self.tasks.is_empty() && waits.borrow().is_empty() {
                // Nothing at work, nothing waited for, and no end: the engine would have to be
                // wrong.
                self.cancel(CancelReason::Shutdown).await;
                break;
            }
            let next = {
                let done = match self.tasks.is_empty() {
                    // Only somebody outside can make it go on, or its time limit.
                    true => Either::Left(pending()),
                    false => Either::Right(self.tasks.next()),
                };
                let event = select(done, select(&mut limit, &mut signal));
                let event = match listened {
                    false => Some(event.await),
                    true => match select(event, &mut beat).await {
                        Either::Left((event, _)) => Some(event),
                        Either::Right(_) => None,
                    },
                };
                match event {
                    Some(Either::Left((done, _))) => done.map(Next::Done),
                    Some(Either::Right((said, _))) => Some(Next::Signal(said.factor_first().0)),
                    None => None,
                }
            };
            let Some(next) = next else {
                beat.set(clock.sleep(BEAT_US));
                self.look_after_the_listener().await;
                continue;
            };
            match next {
                // The attempt ended because nobody listens: the run is cancelled, not failed.
                _ if self.shared.closed.get() => {}
                Next::Done(done) => {
                    self.calls -= usize::from(matches!(done, Done::Attempt { .. }));
                    self.report(done).await;
                }
                Next::Signal(Signal::Lost) => return Ended::Lost,
                Next::Signal(said) => {
                    drop(signal);
                    signal = signals.next(&waits).boxed_local();
                    self.hear(said).await;
                }
            }
            if limit.is_terminated() {
                // Its error workflow goes on.
                limit.set(limit_at(self.deadline_us()));
            }
        }
        drop(signal);
        let kept = self.kept;
        Ended::Finished {
            finished: Box::new(self.finish()),
            kept,
        }
    }

    async fn look_after_the_listener(&self) {
        if !self.shared.closed.get() && self.shared.ports.sink.beat().await.is_err() {
            self.shared.closed.set(true);
        }
    }

    async fn hear(&mut self, said: Signal) {
        match said {
            Signal::Cancel(CancelReason::Timeout) => self.look_at_the_time().await,
            Signal::Cancel(reason) => self.cancel(reason).await,
            Signal::Lost => {}
            Signal::Answer {
                node,
                output,
                handle,
            } => {
                let output = self.shared.redactor.borrow().value(output);
                // One that comes too late, or fits nothing, is dropped.
                self.accept(What::NodeResumed {
                    node,
                    output,
                    handle,
                })
                .await;
            }
        }
    }

    /// When the run has to be over: an error workflow has a little time in any case.
    fn deadline_us(&self) -> i64 {
        let failed_us = self.failed_us.unwrap_or(i64::MIN);
        self.deadline_us
            .max(failed_us.saturating_add(self.grace_us))
    }

    async fn look_at_the_time(&mut self) {
        let now_us = self.shared.ports.clock.now_us();
        if self.run.outcome().is_none() && now_us >= self.deadline_us() {
            self.cancel(CancelReason::Timeout).await;
        }
    }

    async fn cancel(&mut self, reason: CancelReason) {
        self.accept(What::RunCancelRequested { reason }).await;
    }

    async fn report(&mut self, done: Done) {
        let fact = match done {
            Done::Dropped { call } => {
                self.calls -= usize::from(call);
                return;
            }
            Done::Due { node, due } => {
                self.aborts.remove(&node);
                due.fact(node)
            }
            Done::Attempt {
                node,
                attempt,
                call,
                result,
            } => {
                self.aborts.remove(&node);
                let result = match result {
                    AttemptResult::Error { error } => AttemptResult::Error {
                        error: self.run.judge(&node, attempt, error),
                    },
                    result => result,
                };
                What::AttemptFinished {
                    node,
                    attempt,
                    result,
                    call,
                }
            }
        };
        self.accept(fact).await;
    }

    /// Hands a fact to the engine, appends what follows to the log and tells the listener.
    /// A fact that cannot happen now is a late one: it is dropped, and the answer is false.
    pub(crate) async fn accept(&mut self, fact: What) -> bool {
        let Ok(step) = self.run.accept(fact, self.shared.ports.clock.now_us()) else {
            return false;
        };
        self.commands.extend(step.commands);
        let waits = |event: &Event| {
            matches!(
                event.what,
                What::NodeSuspended { .. } | What::NodeResumed { .. } | What::WaitDue { .. }
            )
        };
        self.waits_changed |= step.events.iter().any(waits);
        let failed = |event: &&Event| event.what == What::ErrorWorkflowStarted;
        let failed_us = step.events.iter().find(failed).map(|event| event.at_us);
        self.failed_us = self.failed_us.or(failed_us);
        if self.shared.ports.sink.wants_events() {
            let plan = self.run.plan().clone();
            let kind_of = |node: &str| plan.kind_of(node).map(str::to_owned);
            for event in &step.events {
                if let Some(live) = live::of(event, &step.events, &kind_of)
                    && !self.shared.closed.get()
                    && self
                        .shared
                        .ports
                        .sink
                        .send(Some(event.seq), live)
                        .await
                        .is_err()
                {
                    self.shared.closed.set(true);
                }
            }
        }
        self.log.extend(step.events);
        true
    }

    /// Works on something until it is done or dropped.
    fn spawn(&mut self, node: &str, call: bool, work: impl Future<Output = Done> + 'a) {
        let (handle, registration) = AbortHandle::new_pair();
        let work = Abortable::new(work, registration);
        let task = work.map(move |done| done.unwrap_or(Done::Dropped { call }));
        self.tasks.push(task.boxed_local());
        let handles = self.aborts.entry(node.to_owned()).or_default();
        handles.push(handle);
    }

    async fn perform(&mut self) {
        while let Some(command) = self.commands.pop_front() {
            match command {
                Command::Stop => {
                    self.tasks.clear();
                    self.calls = 0;
                }
                Command::Drop { node } => {
                    let handles = self.aborts.remove(&node);
                    handles.iter().flatten().for_each(AbortHandle::abort);
                }
                Command::Wait {
                    node,
                    until_us,
                    due,
                } => {
                    let clock = self.shared.ports.clock;
                    let wait_us = u64::try_from(until_us - clock.now_us()).unwrap_or(0);
                    let waiting = node.clone();
                    self.spawn(&waiting, false, async move {
                        clock.pause(wait_us).await;
                        Done::Due { node, due }
                    });
                }
                Command::StartAttempt {
                    node,
                    attempt,
                    timeout_ms,
                } => {
                    self.start_attempt(Which {
                        node,
                        attempt,
                        timeout_ms,
                        held: Rc::default(),
                        idempotency_key: String::new(),
                        traceparent: String::new(),
                        calls: Cell::new(0),
                        bill: Rc::default(),
                        cache: None,
                    })
                    .await;
                }
            }
            if self.shared.closed.get() {
                return;
            }
            // Nodes without calls never wait: the time limit is looked at here too.
            self.look_at_the_time().await;
        }
    }

    fn finish(self) -> Finished {
        let plan = self.run.plan().clone();
        let spans = spans_of(&self.log, |node| plan.kind_of(node).map(str::to_owned));
        let usage = totals_of(&self.log);
        let at = |event: Option<&Event>| event.map_or(0, |event| event.at_us);
        let (started_us, finished_us) = (at(self.log.first()), at(self.log.last()));
        let outcome = self.run.outcome().cloned();
        let (status, outputs, error) = match outcome {
            Some(outcome) => (outcome.status, outcome.outputs, outcome.error),
            None => (Status::Cancelled, Value::Null, None),
        };
        Finished {
            status,
            outputs,
            usage,
            error,
            log: self.log,
            spans,
            started_us,
            finished_us,
        }
    }
}

/// How long an error workflow may take beyond the run's own time: little where an answer has to come before the host's
/// limit.
fn grace_us(timeout_ms: u64) -> i64 {
    let ms = (timeout_ms / 8).clamp(1_000, 30_000);
    i64::try_from(ms).unwrap_or(0) * 1_000
}
