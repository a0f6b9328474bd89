//! The state machine: facts in, decisions and commands out. It has no clock, randomness or
//! I/O; the same facts always give the same decisions.
//!
//! ```text
//! node       on                                            becomes    emits
//! pending    all edges resolved, one taken (n: n taken)    ready      node_scheduled
//! pending    not enough edges can be taken any more        skipped    node_skipped
//! ready      a slot is free                                starting   → StartAttempt
//! starting   attempt_started                               running
//! running    attempt_finished ok                           finished   node_finished
//! running    attempt_finished error, attempts left         waiting    retry_scheduled → Wait
//! running    attempt_finished error, on_error fail         failed     node_failed; the body fails
//! running    attempt_finished error, continue, error_edge  finished   node_failed, node_finished
//! running    attempt_finished wait                         suspended  node_suspended → Wait
//! running    attempt_finished enter                        open       iteration_started
//! waiting    retry_due                                     ready
//! suspended  wait_due, node_resumed                        finished   node_finished
//! open       an iteration ends, others are to come         open       iteration_finished, …_started
//! open       an iteration ends (while)                     ready      iteration_finished
//! open       the last iteration ends                       finished   iteration_finished, node_finished
//! at work    the run or its body ends                      cancelled  node_cancelled → Drop
//! ```
//!
//! A body that fails fails its loop, which may handle that as any node may; the run fails when
//! nothing handles it. Work that is open goes to the free slots in the order in which its
//! frames began, then by position in the document.

mod backoff;
mod bodies;
mod end;
mod frame;
mod turn;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

pub(crate) use self::frame::{Frame, LinkState, NodeState, Place};
pub(crate) use self::turn::EVERY_HANDLE;
use self::turn::Turn;
use crate::log::{Event, RunError, RunStarted, Status, Wait, What};
use crate::plan::Compiled;
use crate::scope::Seen;

/// What the driver has to do. Nodes are named as in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Start this attempt: report `attempt_started`, then `attempt_finished`.
    StartAttempt {
        /// The node.
        node: String,
        /// From 1.
        attempt: u32,
        /// Its time limit.
        timeout_ms: u64,
    },
    /// Report that the time has come, by `retry_due` or `wait_due`.
    Wait {
        /// The node.
        node: String,
        /// When, µs since the Unix epoch.
        until_us: i64,
        /// What for.
        due: Due,
    },
    /// Drop what is under way for this node.
    Drop {
        /// The node.
        node: String,
    },
    /// The run is over: drop every attempt and wait.
    Stop,
}

/// What a time is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Another attempt: report `retry_due`.
    Retry,
    /// The end of a wait or of a loop's time: report `wait_due`.
    Wait,
}

impl Due {
    /// The fact to report.
    pub fn fact(self, node: String) -> What {
        match self {
            Self::Retry => What::RetryDue { node },
            Self::Wait => What::WaitDue { node },
        }
    }
}

/// What one fact led to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// To be appended to the log: the fact, then the decisions.
    pub events: Vec<Event>,
    /// To be done once those are safe.
    pub commands: Vec<Command>,
}

/// A fact that cannot happen in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// The run has not started.
    #[error("the run has not started")]
    NotStarted,
    /// The run has started already.
    #[error("the run has started already")]
    AlreadyStarted,
    /// The run is over. Late results end here; they are to be dropped.
    #[error("the run is over")]
    RunIsOver,
    /// The document has no such node, or its iteration is over.
    #[error("no node {0:?}")]
    UnknownNode(String),
    /// The node does not wait for this.
    #[error("node {node:?} is {state}: {what} cannot happen")]
    NotNow {
        /// The node.
        node: String,
        /// What the node is.
        state: &'static str,
        /// What was reported.
        what: &'static str,
    },
    /// A decision was reported as if it were a fact.
    #[error("only facts can be reported")]
    NotAFact,
    /// The log belongs to another document.
    #[error("the log belongs to another version of the document")]
    OtherDocument,
    /// A log says something else than the machine.
    #[error("event {seq} of the log is not what the events before it lead to")]
    Diverged {
        /// The event.
        seq: u64,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How.
    pub status: Status,
    /// The output nodes' values by name.
    pub outputs: Value,
    /// Why it did not succeed.
    pub error: Option<RunError>,
}

/// One run.
#[derive(Clone)]
pub struct Run {
    pub(crate) plan: Arc<Compiled>,
    pub(crate) started: Option<RunStarted>,
    /// `run` as templates see it.
    pub(crate) about: Seen,
    pub(crate) frames: BTreeMap<u64, Frame>,
    /// The frame of the error workflow, and why it runs.
    handler: Option<u64>,
    failure: Option<RunError>,
    next_frame: u64,
    ready: BTreeSet<Place>,
    active: u32,
    steps: u64,
    seq: u64,
    outcome: Option<Outcome>,
}

impl PartialEq for Run {
    /// Whether both are in the same state; both must be of the same document.
    fn eq(&self, other: &Self) -> bool {
        let rest = |run: &Self| (run.handler, run.next_frame, run.active, run.steps, run.seq);
        self.started == other.started
            && rest(self) == rest(other)
            && self.ready == other.ready
            && self.failure == other.failure
            && self.outcome == other.outcome
            && self.frames == other.frames
    }
}

impl Run {
    /// A run of this document that has not started.
    pub fn new(plan: Arc<Compiled>) -> Self {
        Self {
            plan,
            started: None,
            about: Seen::default(),
            frames: BTreeMap::new(),
            handler: None,
            failure: None,
            next_frame: 0,
            ready: BTreeSet::new(),
            active: 0,
            steps: 0,
            seq: 0,
            outcome: None,
        }
    }

    /// Builds a run from its log and says which decisions the log still lacks (it may end
    /// in the middle of a step). What is to be done next is in [`Run::outstanding`].
    ///
    /// # Errors
    /// When the log is not one of this document.
    pub fn replay(plan: Arc<Compiled>, log: &[Event]) -> Result<(Self, Vec<Event>), Illegal> {
        let mut run = Self::new(plan);
        let mut expected = Vec::new().into_iter();
        for event in log {
            let same = if event.what.is_fact() {
                if expected.next().is_some() {
                    return Err(Illegal::Diverged { seq: event.seq });
                }
                let mut events = run
                    .accept(event.what.clone(), event.at_us)?
                    .events
                    .into_iter();
                let fact = events.next();
                expected = events;
                fact.is_some_and(|fact| fact.seq == event.seq)
            } else {
                expected.next().is_some_and(|next: Event| next == *event)
            };
            if !same {
                return Err(Illegal::Diverged { seq: event.seq });
            }
        }
        Ok((run, expected.collect()))
    }

    /// Takes a fact.
    ///
    /// # Errors
    /// When it cannot happen now; the run is then unchanged.
    pub fn accept(&mut self, fact: What, at_us: i64) -> Result<Step, Illegal> {
        if self.outcome.is_some() {
            return Err(Illegal::RunIsOver);
        }
        if self.started.is_none() && !matches!(fact, What::RunStarted(_)) {
            return Err(Illegal::NotStarted);
        }
        let mut turn = Turn::new(self, at_us);
        turn.take(fact)?;
        turn.settle();
        Ok(turn.step)
    }

    /// What a driver that takes over has to do: start what was to start, wait for what
    /// waits. Attempts that were at work are in [`Run::in_flight`].
    pub fn outstanding(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        for (place, state) in self.states() {
            let mut wait = |until_us, due| {
                let node = self.way(place);
                commands.push(Command::Wait {
                    node,
                    until_us,
                    due,
                });
            };
            match state {
                NodeState::Waiting { due_us, .. } => wait(*due_us, Due::Retry),
                NodeState::Suspended { wait: held } => {
                    held.until_us.into_iter().for_each(|us| wait(us, Due::Wait));
                }
                _ => {}
            }
            let looping = self.frame(place).loops.get(&place.node);
            if let Some(until_us) = looping.and_then(|looping| looping.until_us)
                && state.at_work()
            {
                wait(until_us, Due::Wait);
            }
            if let NodeState::Starting { attempt } = state {
                commands.push(self.start_command(place, *attempt));
            }
        }
        commands
    }

    /// The attempts that have started and not finished. After a crash nobody knows how they
    /// ended: report each as [`crate::NodeError::lost`].
    pub fn in_flight(&self) -> Vec<(String, u32)> {
        let running = self.states().filter_map(|(place, state)| match state {
            NodeState::Running { attempt } => Some((self.way(place), *attempt)),
            _ => None,
        });
        running.collect()
    }

    /// What nodes wait for, other than a retry.
    pub fn waits(&self) -> Vec<(String, Wait)> {
        let waits = self.states().filter_map(|(place, state)| match state {
            NodeState::Suspended { wait } => Some((self.way(place), (**wait).clone())),
            _ => None,
        });
        waits.collect()
    }

    /// Whether nothing is at work and nothing is to be started: only time or somebody can make
    /// the run go on.
    pub fn is_idle(&self) -> bool {
        self.outcome.is_none() && self.started.is_some() && self.active == 0
    }

    /// When an idle run goes on by itself, µs since the Unix epoch.
    pub fn next_due_us(&self) -> Option<i64> {
        let times = self
            .outstanding()
            .into_iter()
            .filter_map(|command| match command {
                Command::Wait { until_us, .. } => Some(until_us),
                _ => None,
            });
        times.min()
    }

    fn states(&self) -> impl Iterator<Item = (Place, &NodeState)> {
        self.frames.iter().flat_map(|(&id, frame)| {
            let nodes = frame.nodes.iter().enumerate();
            nodes.map(move |(node, state)| (Place { frame: id, node }, state))
        })
    }

    /// How the run ended; none while it goes on.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// The document it runs.
    pub fn plan(&self) -> &Arc<Compiled> {
        &self.plan
    }

    /// The output of a node that has finished, while its iteration goes on.
    pub fn output(&self, node: &str) -> Option<&Value> {
        let place = self.place(node)?;
        let output = self.frame(place).output(place.node);
        output.map(|output| &output.value)
    }

    fn start_command(&self, place: Place, attempt: u32) -> Command {
        let body = &self.plan.bodies[self.frame(place).body];
        Command::StartAttempt {
            node: self.way(place),
            attempt,
            timeout_ms: body.nodes[place.node].settings.attempt_ms(),
        }
    }
}
