//! What a driver does for a run that outlives it: keeps the log as it grows, stops where the run can be taken up again,
//! and takes one up.

use nodeai_engine::{AttemptResult, CallMeta, Event, NodeError, What};

use super::Driver;
use crate::durable::{Ended, Lost};
use crate::{CachePort, Clock, Entropy, HttpPort, SecretPort, Sink};

impl<H: HttpPort, C: Clock, E: Entropy, S: SecretPort, L: Sink, K: CachePort>
    Driver<'_, H, C, E, S, L, K>
{
    /// What a driver that takes over has to do first: the events that its log lacks, what is to
    /// be started, and the attempts that nobody knows the end of.
    pub(crate) async fn take_over(&mut self, missing: Vec<Event>) {
        self.log.extend(missing);
        let lost = self.run.in_flight();
        self.commands.extend(self.run.outstanding());
        for (node, attempt) in lost {
            let result = AttemptResult::Error {
                error: NodeError::lost(),
            };
            let call = Box::<CallMeta>::default();
            self.accept(What::AttemptFinished {
                node,
                attempt,
                result,
                call,
            })
            .await;
        }
    }

    /// Until when the run may be left to itself, when it may: it waits for longer than it is worth to stay, or its
    /// slice is over and no call is under way.
    pub(super) fn may_rest(&self) -> Option<Option<i64>> {
        let journal = self.journal.as_ref()?;
        let now_us = self.shared.ports.clock.now_us();
        if self.calls > 0 {
            return None;
        }
        if now_us >= journal.slice_end_us {
            return Some(Some(now_us));
        }
        let due_us = self.run.next_due_us();
        let long = due_us.is_none_or(|due_us| due_us - now_us > journal.patience_us);
        (self.run.is_idle() && long).then(|| due_us.map(|due_us| due_us.min(self.deadline_us())))
    }

    pub(super) fn rest(self, until_us: Option<i64>) -> Ended {
        let deadline_us = self.deadline_us();
        Ended::Resting {
            // Its time limit ends it, if nobody does.
            until_us: until_us.or((deadline_us < i64::MAX).then_some(deadline_us)),
            waits: self.run.waits(),
            events: self.log[self.kept..].to_vec(),
        }
    }

    /// Keeps what the log has gained: before calls begin, and after they ended.
    pub(super) async fn keep(&mut self) -> Result<(), Lost> {
        if let Some(journaling) = &self.journal
            && self.kept < self.log.len()
        {
            journaling.journal.append(&self.log[self.kept..]).await?;
            self.kept = self.log.len();
        }
        Ok(())
    }
}
