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
        self.end(
            status,
            Some(RunError {
                node_id: None,
                path: None,
                kind: kind.to_owned(),
                message: message.to_owned(),
            }),
        );
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
