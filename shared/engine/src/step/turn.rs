//! One turn of the state machine: a fact is recorded and everything that follows from it is
//! worked out.

use serde_json::{Map, Value, json};

use super::{Command, Illegal, LinkState, NodeState, Outcome, Run, Step};
use crate::graph::DEFAULT_HANDLE;
use crate::log::{
    AttemptResult, CancelReason, Event, LOST, NodeError, RunError, RunStarted, Status, What,
};
use crate::settings::OnError;

/// Attempts that crashes may cost a node on top of its own.
const MOST_LOST: u32 = 3;
/// Longest wait that a provider may ask for, in ms.
const LONGEST_RETRY_AFTER_MS: u64 = 60_000;

/// One fact being worked out.
pub(super) struct Turn<'a> {
    pub(super) run: &'a mut Run,
    pub(super) at_us: i64,
    pub(super) step: Step,
}

impl Turn<'_> {
    pub(super) fn record(&mut self, what: What) {
        self.step.events.push(Event {
            seq: self.run.seq,
            at_us: self.at_us,
            what,
        });
        self.run.seq += 1;
    }

    fn id(&self, at: usize) -> String {
        self.run.plan.graph.ids[at].clone()
    }

    pub(super) fn expect(
        &self,
        node: &str,
        what: &'static str,
        fits: impl Fn(&NodeState) -> bool,
    ) -> Result<usize, Illegal> {
        let at = self.run.plan.graph.by_id.get(node).copied();
        let at = at.ok_or_else(|| Illegal::UnknownNode(node.to_owned()))?;
        let state = &self.run.nodes[at];
        if fits(state) {
            Ok(at)
        } else {
            Err(Illegal::NotNow {
                node: node.to_owned(),
                state: state.name(),
                what,
            })
        }
    }

    pub(super) fn start(&mut self, started: RunStarted) -> Result<(), Illegal> {
        if self.run.started.is_some() {
            return Err(Illegal::AlreadyStarted);
        }
        if started.definition_hash != self.run.plan.hash() {
            return Err(Illegal::OtherDocument);
        }
        self.run.started = Some(started.clone());
        self.run.started_us = self.at_us;
        self.record(What::RunStarted(Box::new(started)));
        let plan = self.run.plan.clone();
        for at in (0..plan.graph.len()).filter(|&at| plan.graph.incoming[at].is_empty()) {
            // A remark is skipped from the beginning.
            if self.run.nodes[at] == NodeState::Pending {
                self.schedule(at);
            }
        }
        self.pump();
        Ok(())
    }

    fn schedule(&mut self, at: usize) {
        self.run.nodes[at] = NodeState::Ready { attempt: 1 };
        self.run.ready.insert(at);
        let node = self.id(at);
        self.record(What::NodeScheduled { node });
    }

    /// Fills the free slots, first come by position in the document.
    pub(super) fn pump(&mut self) {
        let most = self
            .run
            .started
            .as_ref()
            .map_or(1, |started| started.max_concurrency.max(1));
        while self.run.outcome.is_none() && self.run.active < most {
            let Some(at) = self.run.ready.pop_first() else {
                break;
            };
            if let NodeState::Ready { attempt } = self.run.nodes[at] {
                self.run.nodes[at] = NodeState::Starting { attempt };
                self.run.active += 1;
                self.step.commands.push(self.run.start_command(at, attempt));
            }
        }
    }

    pub(super) fn finish_attempt(&mut self, at: usize, attempt: u32, result: AttemptResult) {
        match result {
            AttemptResult::Ok { output, handle } => {
                let node = self.id(at);
                self.record(What::NodeFinished {
                    node,
                    handle: handle.clone(),
                    output: None,
                });
                self.finish_node(at, output, |of| of == handle);
            }
            AttemptResult::Error { error } if error.kind == LOST && self.may_lose(at) => {
                self.run.lost[at] += 1;
                self.retry(at, attempt + 1, self.at_us);
            }
            AttemptResult::Error { error } => self.fail_attempt(at, attempt, error),
        }
    }

    fn may_lose(&self, at: usize) -> bool {
        self.run.lost[at] < MOST_LOST
    }

    fn fail_attempt(&mut self, at: usize, attempt: u32, error: NodeError) {
        let retry = &self.run.plan.nodes[at].settings.retry;
        let own_attempts = attempt - self.run.lost[at];
        if error.retryable && own_attempts < retry.max_attempts {
            let seed = self.run.started.as_ref().map_or(0, |started| started.seed);
            let wait_ms = wait_ms(retry, seed, at, own_attempts, error.retry_after_ms);
            let due_us = self
                .at_us
                .saturating_add((wait_ms as i64).saturating_mul(1_000));
            self.retry(at, attempt + 1, due_us);
        } else {
            self.fail_node(at, attempt, error);
        }
    }

    fn retry(&mut self, at: usize, attempt: u32, due_us: i64) {
        self.run.nodes[at] = NodeState::Waiting { attempt, due_us };
        let node = self.id(at);
        self.record(What::RetryScheduled {
            node: node.clone(),
            attempt,
            due_us,
        });
        self.step.commands.push(Command::Wait {
            node,
            until_us: due_us,
        });
    }

    fn fail_node(&mut self, at: usize, attempts: u32, error: NodeError) {
        let on_error = self.run.plan.nodes[at].settings.on_error;
        let (node, handled) = (self.id(at), on_error != OnError::Fail);
        self.record(What::NodeFailed {
            node: node.clone(),
            error: error.clone(),
            handled,
        });
        if !handled {
            self.run.nodes[at] = NodeState::Failed;
            let error = RunError {
                node_id: Some(node),
                kind: error.kind,
                message: error.message,
            };
            return self.end(Status::Failed, Some(error));
        }
        let output = json!({"error": {
            "kind": error.kind, "message": error.message, "attempts": attempts,
        }});
        let by_edge = on_error == OnError::ErrorEdge;
        let handle = if by_edge { "error" } else { DEFAULT_HANDLE };
        let (handle, known) = (handle.to_owned(), Some(output.clone()));
        self.record(What::NodeFinished {
            node,
            handle,
            output: known,
        });
        self.finish_node(at, output, |of| (of == "error") == by_edge);
    }

    fn finish_node(&mut self, at: usize, output: Value, takes: impl Fn(&str) -> bool) {
        self.run.nodes[at] = NodeState::Finished { output };
        self.run.open -= 1;
        self.resolve(at, takes);
        if self.run.open == 0 {
            self.end(Status::Succeeded, None);
        }
    }

    /// Resolves the edges of a node and whatever follows from that, without recursion.
    fn resolve(&mut self, at: usize, takes: impl Fn(&str) -> bool) {
        let plan = self.run.plan.clone();
        let mut touched = Vec::new();
        for &link in &plan.graph.outgoing[at] {
            let taken = takes(&plan.graph.links[link].handle);
            self.run.links[link] = if taken {
                LinkState::Taken
            } else {
                LinkState::Dead
            };
            touched.push(plan.graph.links[link].target);
        }
        let mut next = 0;
        while let Some(&target) = touched.get(next) {
            next += 1;
            match self.turn_of(target) {
                Some(true) => self.schedule(target),
                Some(false) => {
                    self.skip(target);
                    for &link in &plan.graph.outgoing[target] {
                        self.run.links[link] = LinkState::Dead;
                        touched.push(plan.graph.links[link].target);
                    }
                }
                None => {}
            }
        }
    }

    /// Whether a node's turn has come (true), can never come (false), or is still open.
    fn turn_of(&self, at: usize) -> Option<bool> {
        if self.run.nodes[at] != NodeState::Pending {
            return None;
        }
        let plan = &self.run.plan;
        let links = || {
            plan.graph.incoming[at]
                .iter()
                .map(|&link| self.run.links[link])
        };
        let taken = links().any(|link| link == LinkState::Taken);
        let open = links().any(|link| link == LinkState::Pending);
        if taken && (!open || plan.nodes[at].joins_any) {
            return Some(true);
        }
        (!open).then_some(false)
    }

    fn skip(&mut self, at: usize) {
        self.run.nodes[at] = NodeState::Skipped;
        self.run.open -= 1;
        let node = self.id(at);
        self.record(What::NodeSkipped { node });
    }

    pub(super) fn cancel(&mut self, reason: CancelReason) {
        let (status, kind, message) = match reason {
            CancelReason::Timeout => (Status::Failed, "run_timeout", "the run took too long"),
            CancelReason::Requested => (Status::Cancelled, "cancelled", "the run was cancelled"),
            CancelReason::ClientGone => (Status::Cancelled, "cancelled", "the caller went away"),
            CancelReason::Shutdown => (Status::Cancelled, "cancelled", "the server shut down"),
        };
        let (kind, message) = (kind.to_owned(), message.to_owned());
        self.end(
            status,
            Some(RunError {
                node_id: None,
                kind,
                message,
            }),
        );
    }

    fn end(&mut self, status: Status, error: Option<RunError>) {
        for at in 0..self.run.nodes.len() {
            if self.run.nodes[at].at_work() {
                self.run.nodes[at] = NodeState::Cancelled;
                let node = self.id(at);
                self.record(What::NodeCancelled { node });
            }
        }
        let outputs = self.outputs();
        let outcome = Outcome {
            status,
            outputs: outputs.clone(),
            error: error.clone(),
        };
        self.record(What::RunFinished {
            status,
            outputs,
            error,
        });
        self.step.commands = vec![Command::Stop];
        self.run.outcome = Some(outcome);
    }

    fn outputs(&self) -> Value {
        let nodes = self.run.plan.definition.nodes.iter().zip(&self.run.nodes);
        let outputs = nodes.filter(|(node, _)| crate::nodes::gives_back(&node.kind));
        let named = outputs.filter_map(|(node, state)| match state {
            NodeState::Finished { output } => {
                let name = node
                    .data
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or(&node.id);
                Some((name.to_owned(), output.clone()))
            }
            _ => None,
        });
        Value::Object(named.collect::<Map<_, _>>())
    }
}

/// Exponential backoff with full jitter (Marc Brooker, "Exponential Backoff And Jitter",
/// AWS Architecture Blog, 2015): uniform between 0 and min(max, base · 2^(n-1)). The
/// provider's own wish is the least.
fn wait_ms(
    retry: &crate::settings::Retry,
    seed: u32,
    node: usize,
    attempt: u32,
    asked_ms: Option<u64>,
) -> u64 {
    let doubled = 1u64.checked_shl(attempt - 1).unwrap_or(u64::MAX);
    let ceiling = retry
        .backoff_ms
        .saturating_mul(doubled)
        .min(retry.max_backoff_ms);
    let wait = if retry.jitter {
        draw(seed, node, attempt) % (ceiling + 1)
    } else {
        ceiling
    };
    wait.max(asked_ms.unwrap_or(0).min(LONGEST_RETRY_AFTER_MS))
}

/// SplitMix64 (Steele, Lea, Flood 2014) of the seed, node and attempt.
fn draw(seed: u32, node: usize, attempt: u32) -> u64 {
    let mut x = (u64::from(seed) << 32) ^ ((node as u64) << 8) ^ u64::from(attempt);
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
