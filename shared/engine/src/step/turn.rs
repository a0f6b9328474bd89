//! One turn of the state machine: a fact is recorded and everything that follows from it is
//! worked out.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::backoff::wait_ms;
use super::frame::{Frame, LinkState, NodeState, Place, ROOT};
use super::waits::may_resume;
use super::{Command, Illegal, Run, Step};
use crate::graph::DEFAULT_HANDLE;
use crate::log::{AttemptResult, Event, LOST, NodeError, RunStarted, What};
use crate::nodes::Join;
use crate::plan::Ready;
use crate::scope::Seen;
use crate::settings::OnError;

/// Attempts that crashes may cost a node on top of its own. More than those after which a queue gives the run up as a
/// dead letter (five), so that this comes first, and comes again when the run is given back. What is left for this bound
/// is a node that costs host after host while others get on.
const MOST_LOST: u32 = 25;
/// The same by the first rules.
const MOST_LOST_AT_FIRST: u32 = 3;
/// Nodes that an error workflow may run beyond the run's own.
const MOST_IN_ERROR: u64 = 10_000;
/// The handle of a node that handed on what came in: every edge but the error's is taken.
pub(crate) const EVERY_HANDLE: &str = "*";

/// What follows from a node's end for the frame that it is in. Done one after the other, so
/// that deep nesting needs no deep stack.
pub(super) enum Todo {
    /// All nodes of the frame have ended.
    Close(u64),
    /// A node failed for good; the second is where it began.
    Fail(Place, Failure),
}

/// A failure on its way up.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) error: NodeError,
    pub(super) attempts: u32,
    /// The node that failed first.
    pub(super) origin: String,
}

/// One fact being worked out.
pub(super) struct Turn<'a> {
    pub(super) run: &'a mut Run,
    pub(super) at_us: i64,
    pub(super) step: Step,
    pub(super) todo: VecDeque<Todo>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(run: &'a mut Run, at_us: i64) -> Self {
        Self {
            run,
            at_us,
            step: Step::default(),
            todo: VecDeque::new(),
        }
    }

    pub(super) fn take(&mut self, fact: What) -> Result<(), Illegal> {
        match fact {
            What::RunStarted(started) => self.start(*started)?,
            What::AttemptStarted {
                ref node, attempt, ..
            } => {
                let place = self.expect(node, "attempt_started", |state| {
                    *state == NodeState::Starting { attempt }
                })?;
                self.set(place, NodeState::Running { attempt });
                self.record(fact);
            }
            What::AttemptFinished {
                ref node,
                attempt,
                ref result,
                ..
            } => {
                let place = self.expect(node, "attempt_finished", |state| {
                    *state == NodeState::Running { attempt }
                })?;
                let result = result.clone();
                self.record(fact);
                self.run.active -= 1;
                self.finish_attempt(place, attempt, result);
            }
            What::RetryDue { ref node } => {
                let place = self.expect(node, "retry_due", |state| {
                    matches!(state, NodeState::Waiting { .. })
                })?;
                self.record(fact);
                if let NodeState::Waiting { attempt, .. } = *self.run.state(place) {
                    self.make_ready(place, attempt);
                }
            }
            What::WaitDue { ref node } => {
                let place = self.due(node)?;
                self.record(fact);
                self.end_wait(place);
            }
            What::NodeResumed {
                ref node,
                ref output,
                ref handle,
            } => {
                let place = self.expect(node, "node_resumed", |state| match state {
                    NodeState::Suspended { wait } => may_resume(wait, handle),
                    _ => false,
                })?;
                let (output, handle) = (output.clone(), handle.clone());
                // Its timer, if it has one.
                let node = node.clone();
                self.step.commands.push(Command::Drop { node });
                self.record(fact);
                self.finish_with(place, output, handle);
            }
            What::RunCancelRequested { reason } => {
                self.record(fact);
                self.cancel(reason);
            }
            _ => return Err(Illegal::NotAFact),
        }
        Ok(())
    }

    /// Works out what follows, then fills the free slots.
    pub(super) fn settle(&mut self) {
        while let Some(todo) = self.todo.pop_front() {
            if self.run.outcome.is_some() {
                return;
            }
            match todo {
                Todo::Fail(place, _) if !self.run.frames.contains_key(&place.frame) => {}
                Todo::Close(frame) => self.close(frame),
                Todo::Fail(place, failure) => self.fail_node(place, failure),
            }
        }
        self.pump();
    }

    pub(super) fn record(&mut self, what: What) {
        self.step.events.push(Event {
            seq: self.run.seq,
            at_us: self.at_us,
            what,
        });
        self.run.seq += 1;
    }

    pub(super) fn expect(
        &self,
        node: &str,
        what: &'static str,
        fits: impl Fn(&NodeState) -> bool,
    ) -> Result<Place, Illegal> {
        let place = self.run.place(node);
        let place = place.ok_or_else(|| Illegal::UnknownNode(node.to_owned()))?;
        let state = self.run.state(place);
        if fits(state) {
            Ok(place)
        } else {
            Err(Illegal::NotNow {
                node: node.to_owned(),
                state: state.name(),
                what,
            })
        }
    }

    fn start(&mut self, started: RunStarted) -> Result<(), Illegal> {
        if self.run.started.is_some() {
            return Err(Illegal::AlreadyStarted);
        }
        if started.definition_hash != self.run.plan.hash() {
            return Err(Illegal::OtherDocument);
        }
        self.run.about = Seen::new(crate::decide::about(&started, self.at_us));
        let inputs = started.inputs.clone();
        self.run.started = Some(started.clone());
        self.record(What::RunStarted(Box::new(started)));
        let plan = self.run.plan.clone();
        self.open(Frame::new(ROOT as usize, &plan.bodies[0], inputs));
        Ok(())
    }

    /// Adds a frame and schedules what nothing comes before.
    pub(super) fn open(&mut self, frame: Frame) -> u64 {
        let (id, body) = (self.run.next_frame, frame.body);
        self.run.next_frame += 1;
        self.run.frames.insert(id, frame);
        let plan = self.run.plan.clone();
        for &node in &plan.bodies[body].first {
            self.schedule(Place { frame: id, node });
        }
        id
    }

    pub(super) fn frame_mut(&mut self, place: Place) -> &mut Frame {
        // Places come from the run itself, and a frame that goes takes its places along.
        self.run
            .frames
            .get_mut(&place.frame)
            .expect("a frame of this run")
    }

    pub(super) fn set(&mut self, place: Place, state: NodeState) {
        self.frame_mut(place).nodes[place.node] = state;
    }

    pub(super) fn make_ready(&mut self, place: Place, attempt: u32) {
        self.set(place, NodeState::Ready { attempt });
        self.run.ready.insert(place);
    }

    fn schedule(&mut self, place: Place) {
        self.run.steps += 1;
        self.make_ready(place, 1);
        let node = self.run.way(place);
        self.record(What::NodeScheduled { node });
    }

    /// Fills the free slots: the oldest frame first, then by position in the document.
    fn pump(&mut self) {
        let Some(started) = self
            .run
            .started
            .as_ref()
            .filter(|_| self.run.outcome.is_none())
        else {
            return;
        };
        let asked = self.run.plan.max_concurrency.unwrap_or(u32::MAX);
        let most = started.max_concurrency.min(asked).max(1);
        let most_steps = match self.run.failure {
            Some(_) if started.rules > 0 => started.max_steps.saturating_add(MOST_IN_ERROR),
            _ => started.max_steps,
        };
        if self.run.steps > most_steps {
            let most = started.max_steps;
            self.stop_at(most);
            // Its error workflow, if it has one: this comes here a second time at most.
            return self.pump();
        }
        while self.run.active < most {
            let Some(place) = self.run.ready.pop_first() else {
                break;
            };
            if let NodeState::Ready { attempt } = *self.run.state(place) {
                self.set(place, NodeState::Starting { attempt });
                self.run.active += 1;
                self.step
                    .commands
                    .push(self.run.start_command(place, attempt));
            }
        }
    }

    /// Which rules the run follows.
    pub(super) fn rules(&self) -> u32 {
        let started = self.run.started.as_ref();
        started.map_or(0, |started| started.rules)
    }

    pub(super) fn node(&self, place: Place) -> &Ready {
        &self.run.plan.bodies[self.run.frame(place).body].nodes[place.node]
    }

    fn finish_attempt(&mut self, place: Place, attempt: u32, result: AttemptResult) {
        match result {
            AttemptResult::Ok { output, handle } => {
                let node = self.run.way(place);
                self.record(What::NodeFinished {
                    node,
                    handle: handle.clone(),
                    output: None,
                });
                self.finish_node(place, output, takes(&handle));
            }
            AttemptResult::Enter { items } => self.enter(place, attempt, items),
            AttemptResult::Wait { wait } => self.suspend(place, wait),
            AttemptResult::Error { error } => {
                let tries = self.run.frame(place).tries[place.node];
                let most = match self.rules() {
                    0 => MOST_LOST_AT_FIRST,
                    _ => MOST_LOST,
                };
                if error.kind == LOST && tries.lost < most {
                    self.frame_mut(place).tries[place.node].lost += 1;
                    self.retry(place, attempt + 1, self.at_us);
                } else {
                    self.fail_attempt(place, attempt, error);
                }
            }
        }
    }

    fn fail_attempt(&mut self, place: Place, attempt: u32, error: NodeError) {
        let tries = self.run.frame(place).tries[place.node];
        let retry = &self.node(place).settings.retry;
        let own_attempts = attempt - tries.before - tries.lost;
        if error.retryable && own_attempts < retry.max_attempts {
            let seed = self.run.started.as_ref().map_or(0, |started| started.seed);
            let seed = seed ^ (place.frame as u32).wrapping_mul(0x9e37_79b9);
            let wait_ms = wait_ms(retry, seed, place.node, own_attempts, error.retry_after_ms);
            let wait_us = (wait_ms as i64).saturating_mul(1_000);
            self.retry(place, attempt + 1, self.at_us.saturating_add(wait_us));
        } else {
            let origin = self.run.way(place);
            self.todo.push_back(Todo::Fail(
                place,
                Failure {
                    error,
                    attempts: attempt,
                    origin,
                },
            ));
        }
    }

    /// Finishes a node with an output that no attempt gave.
    pub(super) fn finish_with(&mut self, place: Place, output: Value, handle: String) {
        let node = self.run.way(place);
        self.record(What::NodeFinished {
            node,
            handle: handle.clone(),
            output: Some(output.clone()),
        });
        self.finish_node(place, output, takes(&handle));
    }

    fn fail_node(&mut self, place: Place, failure: Failure) {
        let on_error = self.node(place).settings.on_error;
        let (node, handled) = (self.run.way(place), on_error != OnError::Fail);
        let error = failure.error.clone();
        self.record(What::NodeFailed {
            node: node.clone(),
            error: error.clone(),
            handled,
        });
        if !handled {
            self.set(place, NodeState::Failed);
            return self.fail_body(place, failure);
        }
        let output = json!({"error": {
            "kind": error.kind, "message": error.message, "attempts": failure.attempts,
        }});
        let by_edge = on_error == OnError::ErrorEdge;
        let handle = if by_edge { "error" } else { DEFAULT_HANDLE };
        self.record(What::NodeFinished {
            node,
            handle: handle.to_owned(),
            output: Some(output.clone()),
        });
        self.finish_node(place, output, |of| (of == "error") == by_edge);
    }

    pub(super) fn finish_node(
        &mut self,
        place: Place,
        output: Value,
        takes: impl Fn(&str) -> bool,
    ) {
        let frame = self.frame_mut(place);
        frame.loops.remove(&place.node);
        frame.nodes[place.node] = NodeState::Finished {
            output: Seen::new(output),
        };
        frame.open -= 1;
        self.resolve(place, takes);
        if self.run.frame(place).open == 0 {
            self.todo.push_back(Todo::Close(place.frame));
        }
    }

    /// Resolves the edges of a node and whatever follows from that, without recursion.
    fn resolve(&mut self, place: Place, takes: impl Fn(&str) -> bool) {
        let plan = self.run.plan.clone();
        let body = &plan.bodies[self.run.frame(place).body];
        let mut touched = VecDeque::new();
        let graph = &body.graph;
        for &link in &graph.outgoing[place.node] {
            let taken = takes(&graph.links[link].handle);
            let target = graph.links[link].target;
            self.frame_mut(place).resolve(link, target, taken);
            touched.push_back(target);
        }
        while let Some(node) = touched.pop_front() {
            let target = Place { node, ..place };
            match self.run.frame(target).turn_of(node, body.nodes[node].join) {
                Some(true) => self.schedule(target),
                Some(false) => {
                    self.skip(target);
                    for &link in &graph.outgoing[node] {
                        let after = graph.links[link].target;
                        self.frame_mut(place).resolve(link, after, false);
                        touched.push_back(after);
                    }
                }
                None => {}
            }
        }
    }

    fn skip(&mut self, place: Place) {
        self.set(place, NodeState::Skipped);
        self.frame_mut(place).open -= 1;
        let node = self.run.way(place);
        self.record(What::NodeSkipped { node });
    }
}

impl Frame {
    fn resolve(&mut self, link: usize, target: usize, taken: bool) {
        let waits = self.nodes[target] == NodeState::Pending;
        let edges = &mut self.edges[target];
        edges.open -= 1;
        edges.taken += u32::from(taken && waits);
        self.links[link] = match (taken, waits) {
            (true, true) => LinkState::Taken,
            (true, false) => LinkState::Late,
            (false, _) => LinkState::Dead,
        };
    }

    /// Whether a node's turn has come (true), can never come (false), or is still open.
    fn turn_of(&self, node: usize, join: Join) -> Option<bool> {
        if self.nodes[node] != NodeState::Pending {
            return None;
        }
        let edges = self.edges[node];
        match join {
            Join::All if edges.open == 0 => Some(edges.taken > 0),
            Join::Count(least) if edges.taken >= least => Some(true),
            Join::Count(least) if edges.taken + edges.open < least => Some(false),
            _ => None,
        }
    }
}

fn takes(handle: &str) -> impl Fn(&str) -> bool {
    move |of| match handle {
        EVERY_HANDLE => of != "error",
        handle => of == handle,
    }
}
