//! Waits of a turn: for another attempt, for a time, for somebody.

use serde_json::json;

use super::frame::{NodeState, Place};
use super::turn::Turn;
use super::{Command, Due, Illegal};
use crate::graph::DEFAULT_HANDLE;
use crate::log::{Wait, WaitKind, What};

impl Turn<'_> {
    /// The node whose wait, or whose loop's time, is over.
    pub(super) fn due(&self, node: &str) -> Result<Place, Illegal> {
        let place = self.run.place(node);
        let limited = place.is_some_and(|place| {
            let looping = self.run.frame(place).loops.get(&place.node);
            looping.is_some_and(|looping| looping.until_us.is_some())
        });
        self.expect(node, "wait_due", |state| match state {
            NodeState::Suspended { wait } => wait.until_us.is_some(),
            state => limited && state.at_work(),
        })
    }

    pub(super) fn retry(&mut self, place: Place, attempt: u32, due_us: i64) {
        self.set(place, NodeState::Waiting { attempt, due_us });
        let node = self.run.way(place);
        self.record(What::RetryScheduled {
            node: node.clone(),
            attempt,
            due_us,
        });
        self.wait(node, due_us, Due::Retry);
    }

    pub(super) fn wait(&mut self, node: String, until_us: i64, due: Due) {
        self.step.commands.push(Command::Wait {
            node,
            until_us,
            due,
        });
    }

    pub(super) fn suspend(&mut self, place: Place, wait: Box<Wait>) {
        let (node, until_us) = (self.run.way(place), wait.until_us);
        self.set(place, NodeState::Suspended { wait });
        self.record(What::NodeSuspended {
            node: node.clone(),
            until_us,
        });
        if let Some(until_us) = until_us {
            self.wait(node, until_us, Due::Wait);
        }
    }

    /// The time of a wait, or of a loop, is over.
    pub(super) fn end_wait(&mut self, place: Place) {
        let timer = match self.run.state(place) {
            NodeState::Suspended { wait } => wait.kind == WaitKind::Timer,
            _ => return self.end_loop(place),
        };
        let at = crate::decide::rfc3339(self.at_us);
        let (output, handle) = match timer {
            true => (json!({"resumed_at": at}), DEFAULT_HANDLE),
            false => (json!({"timed_out_at": at}), "timeout"),
        };
        self.finish_with(place, output, handle.to_owned());
    }
}

pub(super) fn may_resume(wait: &Wait, handle: &str) -> bool {
    match wait.kind {
        WaitKind::Timer => false,
        WaitKind::Approval => matches!(handle, "approved" | "rejected"),
        WaitKind::Webhook => handle == DEFAULT_HANDLE,
    }
}
