//! Nodes with a body: loops, called workflows, the error workflow.

use serde_json::{Value, json};

use super::frame::{Frame, Looping, NodeState, Place, ROOT};
use super::turn::{Failure, Todo, Turn};
use super::{Command, Due};
use crate::graph::DEFAULT_HANDLE;
use crate::log::{MOST_DEPTH, NodeError, RunError, Status, What};
use crate::nodes::{Flow, OnItemError, Round};
use crate::plan::ON_FAILURE;

impl Turn<'_> {
    /// The body of a node is to run.
    pub(super) fn enter(&mut self, place: Place, attempt: u32, items: Vec<Value>) {
        let node = self.node(place);
        let (flow, limit_ms) = (node.flow.clone(), node.settings.timeout_ms);
        let until_us =
            limit_ms.map(|ms| self.at_us.saturating_add_unsigned(ms.saturating_mul(1_000)));
        let again = self.run.frame(place).loops.contains_key(&place.node);
        if node.body.is_none() {
            let error = NodeError::new("internal", "the node has no body", false);
            return self.fail_loop(place, error, attempt);
        }
        self.set(place, NodeState::Open);
        let frame = self.frame_mut(place);
        frame.tries[place.node].before = attempt;
        frame.tries[place.node].lost = 0;
        let looping = frame.loops.entry(place.node).or_default();
        if !again {
            looping.until_us = until_us;
            if let Some(until_us) = until_us {
                let node = self.run.way(place);
                self.wait(node, until_us, Due::Wait);
            }
        }
        match flow {
            Flow::Each { .. } => {
                let looping = self.looping(place);
                looping.results = vec![None; items.len()];
                looping.items = items;
                self.next_items(place);
            }
            Flow::While {
                most,
                fails_at_limit,
                ..
            } => self.next_round(place, most, fails_at_limit, items),
            Flow::Call(_) => self.call(place, attempt, items),
            Flow::Plain => {}
        }
    }

    fn looping(&mut self, place: Place) -> &mut Looping {
        self.frame_mut(place).loops.entry(place.node).or_default()
    }

    /// Begins iterations of a `for_each` while there are items and room; ends it after the last.
    fn next_items(&mut self, place: Place) {
        let Flow::Each { concurrency, .. } = self.node(place).flow else {
            return;
        };
        loop {
            let looping = self.looping(place);
            let index = looping.next;
            if looping.at_work.len() >= concurrency.max(1) {
                return;
            }
            let Some(item) = looping.items.get_mut(index as usize) else {
                break;
            };
            // The item is needed here alone; the log has the list.
            let item = std::mem::take(item);
            looping.next += 1;
            self.begin(place, index, item);
        }
        let looping = self.looping(place);
        if looping.at_work.is_empty() {
            let results = std::mem::take(&mut looping.results);
            let output = results.into_iter().flatten().collect();
            self.finish_with(place, output, DEFAULT_HANDLE.to_owned());
        }
    }

    /// Begins the next iteration of a `while` whose condition holds.
    fn next_round(&mut self, place: Place, most: u32, fails_at_limit: bool, mut items: Vec<Value>) {
        let looping = self.looping(place);
        let index = looping.next;
        if index < most {
            looping.next += 1;
            let item = items.pop().unwrap_or_default();
            self.begin(place, index, item);
        } else if fails_at_limit {
            let message = format!("the condition still holds after {most} iterations");
            let attempts = self.run.frame(place).tries[place.node].before;
            self.fail_loop(
                place,
                NodeError::new("loop_limit", message, false),
                attempts,
            );
        } else {
            let previous = std::mem::take(&mut looping.previous);
            let output = Round {
                index,
                previous: &previous,
            };
            self.finish_with(place, output.output(), DEFAULT_HANDLE.to_owned());
        }
    }

    fn call(&mut self, place: Place, attempt: u32, mut items: Vec<Value>) {
        let most = self
            .run
            .started
            .as_ref()
            .map_or(0, |started| started.max_depth);
        if self.run.frame(place).depth >= most {
            // A log that was written without a policy replays with the words that it has.
            let whose = match most == MOST_DEPTH {
                true => "",
                false => ", which is the organisation's policy (max_depth)",
            };
            let message = format!("workflows call workflows more than {most} deep{whose}");
            return self.fail_loop(place, NodeError::new("too_deep", message, false), attempt);
        }
        self.begin(place, 0, items.pop().unwrap_or_default());
    }

    /// Begins an iteration.
    fn begin(&mut self, place: Place, index: u32, item: Value) {
        let Some(body) = self.node(place).body else {
            return;
        };
        let is_call = matches!(self.node(place).flow, Flow::Call(_));
        let plan = self.run.plan.clone();
        let node = self.run.way(place);
        let parent = self.run.frame(place);
        let frame = Frame {
            prefix: format!("{node}[{index}]/"),
            parent: Some(place),
            index,
            home: if is_call {
                self.run.next_frame
            } else {
                parent.home
            },
            depth: parent.depth + u32::from(is_call),
            ..Frame::new(body, &plan.bodies[body], item)
        };
        self.record(What::IterationStarted { node, index });
        let id = self.open(frame);
        self.looping(place).at_work.insert(index, id);
    }

    /// Every node of a frame has ended.
    pub(super) fn close(&mut self, id: u64) {
        let Some(frame) = self.run.frames.get(&id) else {
            return;
        };
        let Some(place) = frame.parent else {
            let failure = self.run.failure.take();
            return match failure {
                Some(error) => self.end(Status::Failed, Some(error)),
                None => self.end(Status::Succeeded, None),
            };
        };
        let result = match self.node(place).flow {
            Flow::Call(_) => self.run.outputs_of(id),
            _ => frame.result(&self.run.plan.bodies[frame.body]),
        };
        let index = frame.index;
        self.run.frames.remove(&id);
        self.end_iteration(place, index, false);
        self.go_on(place, index, Some(result));
    }

    fn end_iteration(&mut self, place: Place, index: u32, failed: bool) {
        self.looping(place).at_work.remove(&index);
        let node = self.run.way(place);
        self.record(What::IterationFinished {
            node,
            index,
            failed,
        });
    }

    /// What comes after an iteration.
    fn go_on(&mut self, place: Place, index: u32, result: Option<Value>) {
        match self.node(place).flow {
            Flow::Each { .. } => {
                self.looping(place).results[index as usize] = result;
                self.next_items(place);
            }
            Flow::While { .. } => {
                self.looping(place).previous = result.unwrap_or_default();
                let attempt = self.run.frame(place).tries[place.node].before + 1;
                self.make_ready(place, attempt);
            }
            _ => self.finish_with(place, result.unwrap_or_default(), DEFAULT_HANDLE.to_owned()),
        }
    }

    /// A node failed and does not handle it: its frame fails, and what that means is the
    /// loop's business, or the run's end.
    pub(super) fn fail_body(&mut self, place: Place, failure: Failure) {
        let frame = self.run.frame(place);
        let (Some(parent), index) = (frame.parent, frame.index) else {
            return self.fail_run(run_error(&failure));
        };
        self.drop_frame(place.frame);
        self.end_iteration(parent, index, true);
        let on_item_error = match self.node(parent).flow {
            Flow::Each { on_item_error, .. } => on_item_error,
            _ => OnItemError::Fail,
        };
        let error = &failure.error;
        match on_item_error {
            OnItemError::Drop => self.go_on(parent, index, None),
            OnItemError::Continue => {
                let value = json!({"error": {
                    "kind": error.kind, "message": error.message, "attempts": failure.attempts,
                }});
                self.go_on(parent, index, Some(value));
            }
            OnItemError::Fail => {
                self.drop_iterations(parent);
                self.todo.push_back(Todo::Fail(parent, failure));
            }
        }
    }

    fn fail_loop(&mut self, place: Place, error: NodeError, attempts: u32) {
        let origin = self.run.way(place);
        self.drop_iterations(place);
        self.todo.push_back(Todo::Fail(
            place,
            Failure {
                error,
                attempts,
                origin,
            },
        ));
    }

    /// A loop took too long.
    pub(super) fn end_loop(&mut self, place: Place) {
        let attempts = self.run.frame(place).tries[place.node].before;
        self.stop_node(place);
        let limit_ms = self.node(place).settings.attempt_ms();
        let message = format!("not done within {limit_ms} ms");
        self.fail_loop(place, NodeError::new("timeout", message, false), attempts);
    }

    fn drop_iterations(&mut self, place: Place) {
        let looping = self.frame_mut(place).loops.remove(&place.node);
        for (index, id) in looping.unwrap_or_default().at_work {
            self.drop_frame(id);
            let node = self.run.way(place);
            self.record(What::IterationFinished {
                node,
                index,
                failed: true,
            });
        }
    }

    /// Cancels what is at work in a frame and below it, and forgets it.
    fn drop_frame(&mut self, id: u64) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            self.cancel_frame(id);
            if let Some(frame) = self.run.frames.remove(&id) {
                let below = frame.loops.into_values();
                stack.extend(below.flat_map(|looping| looping.at_work.into_values()));
            }
        }
    }

    /// Cancels what is at work in a frame.
    pub(super) fn cancel_frame(&mut self, id: u64) {
        let count = self
            .run
            .frames
            .get(&id)
            .map_or(0, |frame| frame.nodes.len());
        for node in 0..count {
            let place = Place { frame: id, node };
            if self.run.state(place).at_work() {
                self.stop_node(place);
                self.set(place, NodeState::Cancelled);
                let node = self.run.way(place);
                self.record(What::NodeCancelled { node });
            }
        }
    }

    /// Takes away a node's slot, its place in the queue, and what the driver does for it.
    fn stop_node(&mut self, place: Place) {
        let state = self.run.state(place);
        let idle = matches!(state, NodeState::Ready { .. } | NodeState::Open);
        self.run.active -= u32::from(state.takes_a_slot());
        if !idle {
            let node = self.run.way(place);
            self.step.commands.push(Command::Drop { node });
        }
        self.run.ready.remove(&place);
    }

    /// The run has failed with an error: it ends, after its error workflow if it has one.
    pub(super) fn fail_run(&mut self, mut error: RunError) {
        if let Some(first) = self.run.failure.take() {
            // The error workflow itself failed.
            return self.end(Status::Failed, Some(first));
        }
        let plan = self.run.plan.clone();
        let Some(body) = plan.on_failure else {
            return self.end(Status::Failed, Some(error));
        };
        let inputs = match plan.check_inputs_of(body, self.about_failure(&error)) {
            Ok(inputs) => inputs,
            Err(faults) => {
                if self.rules() > 0 {
                    let fault = faults.first();
                    let why = fault.map(|fault| format!("{}: {}", fault.pointer, fault.message));
                    error.message.push_str(&format!(
                        "; and the error workflow was not run, since it does not take what it is given: {}",
                        why.unwrap_or_default()
                    ));
                }
                return self.end(Status::Failed, Some(error));
            }
        };
        let frames: Vec<u64> = self.run.frames.keys().copied().collect();
        for id in frames {
            self.cancel_frame(id);
            if id != ROOT {
                self.run.frames.remove(&id);
            }
        }
        self.run.failure = Some(error);
        self.record(What::ErrorWorkflowStarted);
        let frame = Frame {
            prefix: ON_FAILURE.to_owned(),
            home: self.run.next_frame,
            depth: 1,
            ..Frame::new(body, &plan.bodies[body], inputs)
        };
        self.run.handler = Some(self.run.next_frame);
        self.open(frame);
    }

    /// What the error workflow gets as its inputs.
    fn about_failure(&self, error: &RunError) -> serde_json::Map<String, Value> {
        let started = self.run.started.as_ref();
        let about = json!({
            "error": error,
            "execution_id": started.map(|started| &started.execution_id),
            "workflow": started.map(|started| &started.name),
        });
        match about {
            Value::Object(about) => about,
            _ => serde_json::Map::new(),
        }
    }
}

/// The run's error by the node that failed first.
fn run_error(failure: &Failure) -> RunError {
    let id = failure.origin.rsplit('/').next().unwrap_or_default();
    RunError {
        node_id: Some(id.to_owned()),
        path: (id != failure.origin).then(|| failure.origin.clone()),
        kind: failure.error.kind.clone(),
        message: failure.error.message.clone(),
    }
}
