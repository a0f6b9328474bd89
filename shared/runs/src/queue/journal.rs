//! The log of a queued run as the store keeps it.

use crate::commit::strip_nul;
use crate::memory::kept;
use crate::queue::LEASE_US;
use crate::signals::{Lease, waiting};
use futures::future::LocalBoxFuture;
use nodeai_app::errors::{log, store_problem};
use nodeai_app::{Caller, Cx, Scope};
use nodeai_engine::{AttemptResult, Event, Wait, What};
use nodeai_http::Problem;
use nodeai_runner::{Journal, Lost};
use nodeai_store::{Error, Session};
use nodeai_travel::written;
use serde_json::{Value, json};
use std::rc::Rc;

/// Waits between the tries to keep events, ms: less in all than a lease, so that nobody else has the run meanwhile.
const BACKOFF_MS: [u64; 5] = [100, 300, 900, 2_000, 4_000];

/// Keeps the log of one run under a lease.
pub(super) struct Log {
    cx: Rc<Cx>,
    session: Rc<Session>,
    execution_id: String,
    lease: Lease,
}

impl Log {
    pub(super) fn new<S: Scope>(caller: &Caller<S>, execution_id: &str, lease: Lease) -> Self {
        Self {
            cx: caller.cx.clone(),
            session: caller.session.clone(),
            execution_id: execution_id.to_owned(),
            lease,
        }
    }

    /// Appends, again while the store is away. `None` when the run is somebody else's now.
    async fn store(&self, events: &[Event], park: Option<Value>) -> Result<Option<()>, Error> {
        let seq = |event: Option<&Event>| event.map_or(0, |event| event.seq);
        let mut args = json!({"id": self.execution_id, "org_id": self.session.org_id(),
            "lease_token": self.lease, "lease_us": LEASE_US, "first_seq": seq(events.first()),
            "last_seq": seq(events.last()), "events": written(events), "memory": kept(events), "progress": events.iter().any(gets_on),
            "park": park});
        strip_nul(&mut args);
        let mut waits = BACKOFF_MS.iter();
        loop {
            let answer = self.session.call::<Value>("run_append", &args).await;
            match (answer, waits.next()) {
                (Ok(answer), _) => return Ok((answer["outcome"] == "ok").then_some(())),
                (Err(Error::Unavailable(_)), Some(wait)) => {
                    self.session.release();
                    self.cx.env().sleep_ms(*wait).await;
                }
                (Err(error), _) => return Err(error),
            }
        }
    }
}

/// Whether the run got anywhere: an attempt ended by itself.
fn gets_on(event: &Event) -> bool {
    match &event.what {
        What::AttemptFinished {
            result: AttemptResult::Error { error },
            ..
        } => error.kind != nodeai_engine::NodeError::lost().kind,
        What::AttemptFinished { .. } | What::NodeResumed { .. } | What::WaitDue { .. } => true,
        _ => false,
    }
}

impl Journal for Log {
    fn append<'a>(&'a self, events: &'a [Event]) -> LocalBoxFuture<'a, Result<(), Lost>> {
        Box::pin(async move {
            match self.store(events, None).await {
                Ok(Some(())) => Ok(()),
                Ok(None) => Err(Lost),
                Err(error) => {
                    log("run_append", &error.to_string());
                    Err(Lost)
                }
            }
        })
    }
}

/// Leaves the run to whoever comes when it is due, or when somebody has answered.
pub(super) async fn rest(
    journal: &Log,
    until_us: Option<i64>,
    waits: &[(String, Wait)],
    events: &[Event],
    answers_seen: usize,
) -> Result<String, Problem> {
    let park =
        json!({"run_after_us": until_us, "waits": waiting(waits), "answers_seen": answers_seen});
    let stored = journal.store(events, Some(park)).await;
    Ok(match stored.map_err(store_problem)? {
        Some(()) => "waiting".to_owned(),
        None => "lost".to_owned(),
    })
}
