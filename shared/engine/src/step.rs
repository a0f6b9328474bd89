//! The state machine: facts in, decisions and commands out. It has no clock, randomness or
//! I/O; the same facts always give the same decisions.
//!
//! ```text
//! node      on                                            becomes    emits
//! pending   all edges resolved, one taken (any: first)    ready      node_scheduled
//! pending   all edges dead                                skipped    node_skipped
//! ready     a slot is free                                starting   → StartAttempt
//! starting  attempt_started                               running
//! running   attempt_finished ok                           finished   node_finished
//! running   attempt_finished error, attempts left         waiting    retry_scheduled → Wait
//! running   attempt_finished error, on_error fail         failed     node_failed, run_finished → Stop
//! running   attempt_finished error, continue, error_edge  finished   node_failed, node_finished
//! waiting   retry_due                                     ready
//! at work   the run ends                                  cancelled  node_cancelled
//! ```

mod turn;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use self::turn::Turn;
use crate::log::{Event, RunError, RunStarted, Status, What};
use crate::validate::Compiled;

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Start this attempt: report `attempt_started`, then `attempt_finished`.
    StartAttempt {
        /// Node id.
        node: String,
        /// From 1.
        attempt: u32,
        /// Its time limit.
        timeout_ms: u64,
    },
    /// Report `retry_due` at this time, µs since the Unix epoch.
    Wait {
        /// Node id.
        node: String,
        /// When.
        until_us: i64,
    },
    /// The run is over: drop every attempt and wait.
    Stop,
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
    /// The document has no such node.
    #[error("no node {0:?}")]
    UnknownNode(String),
    /// The node does not wait for this.
    #[error("node {node:?} is {state}: {what} cannot happen")]
    NotNow {
        /// Node id.
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

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NodeState {
    Pending,
    Ready { attempt: u32 },
    Starting { attempt: u32 },
    Running { attempt: u32 },
    Waiting { attempt: u32, due_us: i64 },
    Finished { output: Value },
    Failed,
    Skipped,
    Cancelled,
}

impl NodeState {
    fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready { .. } => "ready",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Waiting { .. } => "waiting for a retry",
            Self::Finished { .. } => "finished",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    fn at_work(&self) -> bool {
        matches!(
            self,
            Self::Ready { .. }
                | Self::Starting { .. }
                | Self::Running { .. }
                | Self::Waiting { .. }
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkState {
    Pending,
    Taken,
    Dead,
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
pub struct Run {
    pub(crate) plan: Arc<Compiled>,
    pub(crate) started: Option<RunStarted>,
    pub(crate) started_us: i64,
    pub(crate) nodes: Vec<NodeState>,
    pub(crate) links: Vec<LinkState>,
    lost: Vec<u32>,
    ready: BTreeSet<usize>,
    active: u32,
    open: usize,
    seq: u64,
    outcome: Option<Outcome>,
}

impl Run {
    /// A run of this document that has not started.
    pub fn new(plan: Arc<Compiled>) -> Self {
        let (nodes, links) = (plan.graph.len(), plan.graph.links.len());
        let remark = |node: &crate::Node| crate::nodes::is_remark(&node.kind);
        let begin = |node| match remark(node) {
            true => NodeState::Skipped,
            false => NodeState::Pending,
        };
        let states: Vec<NodeState> = plan.definition.nodes.iter().map(begin).collect();
        let pending = |state: &&NodeState| **state == NodeState::Pending;
        let open = states.iter().filter(pending).count();
        Self {
            plan,
            started: None,
            started_us: 0,
            nodes: states,
            links: vec![LinkState::Pending; links],
            lost: vec![0; nodes],
            ready: BTreeSet::new(),
            active: 0,
            open,
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
        let mut turn = Turn {
            run: self,
            at_us,
            step: Step::default(),
        };
        match fact {
            What::RunStarted(started) => turn.start(*started)?,
            What::AttemptStarted {
                ref node, attempt, ..
            } => {
                let at = turn.expect(node, "attempt_started", |state| {
                    *state == NodeState::Starting { attempt }
                })?;
                turn.run.nodes[at] = NodeState::Running { attempt };
                turn.record(fact);
            }
            What::AttemptFinished {
                ref node,
                attempt,
                ref result,
                ..
            } => {
                let at = turn.expect(node, "attempt_finished", |state| {
                    *state == NodeState::Running { attempt }
                })?;
                let result = result.clone();
                turn.record(fact);
                turn.run.active -= 1;
                turn.finish_attempt(at, attempt, result);
                turn.pump();
            }
            What::RetryDue { ref node } => {
                let at = turn.expect(node, "retry_due", |state| {
                    matches!(state, NodeState::Waiting { .. })
                })?;
                turn.record(fact);
                if let NodeState::Waiting { attempt, .. } = turn.run.nodes[at] {
                    turn.run.nodes[at] = NodeState::Ready { attempt };
                    turn.run.ready.insert(at);
                }
                turn.pump();
            }
            What::RunCancelRequested { reason } => {
                turn.record(fact);
                turn.cancel(reason);
            }
            _ => return Err(Illegal::NotAFact),
        }
        Ok(turn.step)
    }

    /// What a driver that takes over has to do: start what was to start, wait for what
    /// waits. Attempts that were at work are in [`Run::in_flight`].
    pub fn outstanding(&self) -> Vec<Command> {
        let commands = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(at, state)| match *state {
                NodeState::Starting { attempt } => Some(self.start_command(at, attempt)),
                NodeState::Waiting { due_us, .. } => Some(Command::Wait {
                    node: self.plan.graph.ids[at].clone(),
                    until_us: due_us,
                }),
                _ => None,
            });
        commands.collect()
    }

    /// The attempts that have started and not finished. After a crash nobody knows how they
    /// ended: report each as [`NodeError::lost`].
    pub fn in_flight(&self) -> Vec<(String, u32)> {
        let running = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(at, state)| match state {
                NodeState::Running { attempt } => Some((self.plan.graph.ids[at].clone(), *attempt)),
                _ => None,
            });
        running.collect()
    }

    /// How the run ended; none while it goes on.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// The document it runs.
    pub fn plan(&self) -> &Arc<Compiled> {
        &self.plan
    }

    /// The output of a node that has finished.
    pub fn output(&self, node: &str) -> Option<&Value> {
        match &self.nodes[*self.plan.graph.by_id.get(node)?] {
            NodeState::Finished { output } => Some(output),
            _ => None,
        }
    }

    fn start_command(&self, at: usize, attempt: u32) -> Command {
        let timeout_ms = self.plan.nodes[at].settings.timeout_ms;
        Command::StartAttempt {
            node: self.plan.graph.ids[at].clone(),
            attempt,
            timeout_ms,
        }
    }
}
