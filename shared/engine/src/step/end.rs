//! How a run ends.

use super::frame::ROOT;
use super::turn::Turn;
use super::{Command, Outcome};
use crate::log::{CancelReason, RunError, Status, What};

impl Turn<'_> {
    pub(super) fn cancel(&mut self, reason: CancelReason) {
        let (status, kind, message) = match reason {
            CancelReason::Timeout => (Status::Failed, "run_timeout", "the run took too long"),
            CancelReason::Requested => (Status::Cancelled, "cancelled", "the run was cancelled"),
            CancelReason::ClientGone => (Status::Cancelled, "cancelled", "the caller went away"),
            CancelReason::Shutdown => (Status::Cancelled, "cancelled", "the server shut down"),
        };
        if let Some(failure) = self.run.failure.take() {
            // Only the error workflow was still at work.
            return self.end(Status::Failed, Some(failure));
        }
        let error = of_the_run(kind, message.to_owned());
        match reason {
            CancelReason::Timeout if self.rules() > 0 => self.fail_run(error),
            _ => self.end(status, Some(error)),
        }
    }

    /// More nodes were to run than may. The error workflow has a number of its own.
    pub(super) fn stop_at(&mut self, most: u64) {
        let message = format!("more than {most} nodes were to run");
        let error = of_the_run("too_many_steps", message);
        if self.rules() == 0 {
            return self.end(Status::Failed, Some(error));
        }
        self.run.steps = most;
        self.fail_run(error);
    }

    pub(super) fn end(&mut self, status: Status, error: Option<RunError>) {
        let frames: Vec<u64> = self.run.frames.keys().copied().collect();
        for id in frames {
            self.cancel_frame(id);
        }
        let outputs = self.run.outputs_of(ROOT);
        self.record(What::RunFinished {
            status,
            outputs: outputs.clone(),
            error: error.clone(),
        });
        self.step.commands = vec![Command::Stop];
        self.run.outcome = Some(Outcome {
            status,
            outputs,
            error,
        });
    }
}

/// An error of the run itself, not of one of its nodes.
fn of_the_run(kind: &str, message: String) -> RunError {
    RunError {
        node_id: None,
        path: None,
        kind: kind.to_owned(),
        message,
    }
}
