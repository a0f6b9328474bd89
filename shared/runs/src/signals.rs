//! What somebody outside says to a run: cancelled, or an answer to a node that waits. Asked for once a second, which is
//! also the run's sign of life.

use crate::model::Stored;
use crate::queue::LEASE_US;
use nodeai_app::{Caller, Cx, Scope};
use nodeai_engine::{CancelReason, Wait};
use nodeai_runner::{Signal, Signals, Waits};
use nodeai_store::Session;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Milliseconds between two looks.
const PERIOD_MS: u64 = 1_000;

/// Which lease of a queued run this is: they count up, and only the last one may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lease(pub i64);

/// The run's heartbeat.
pub struct Heartbeat {
    cx: Rc<Cx>,
    session: Rc<Session>,
    execution_id: String,
    lease: Option<Lease>,
    /// It was to end before it was taken up.
    cancelled: Cell<bool>,
    /// Answers that were fetched and not handed on yet.
    fetched: RefCell<VecDeque<Said>>,
    seen: Cell<usize>,
    /// What the store was told last of what the run waits for.
    told: RefCell<Value>,
}

#[derive(Deserialize)]
struct Beat {
    outcome: String,
    #[serde(default)]
    cancel_requested: bool,
    #[serde(default)]
    answers: Vec<Said>,
}

/// An answer to a node that waits.
#[derive(Deserialize)]
pub struct Said {
    node: String,
    handle: String,
    #[serde(default)]
    output: Value,
}

impl Heartbeat {
    /// For a run that was started.
    pub fn new(cx: Rc<Cx>, session: Rc<Session>, execution_id: String) -> Self {
        Self {
            cx,
            session,
            execution_id,
            lease: None,
            cancelled: Cell::new(false),
            fetched: RefCell::default(),
            seen: Cell::new(0),
            told: RefCell::new(json!([])),
        }
    }

    /// For a queued run that was taken up, with what was said to it before.
    pub fn leased<S: Scope>(
        caller: &Caller<S>,
        stored: &Stored,
        lease: Lease,
        answers: Vec<Said>,
    ) -> Self {
        Self {
            lease: Some(lease),
            cancelled: Cell::new(stored.cancel_requested),
            seen: Cell::new(answers.len()),
            fetched: RefCell::new(answers.into()),
            ..Self::new(caller.cx.clone(), caller.session.clone(), stored.id.clone())
        }
    }

    /// How many answers were handed on, or are about to be.
    pub fn seen(&self) -> usize {
        self.seen.get()
    }

    async fn beat(&self, waits: &Waits) -> Option<Beat> {
        let wanted = waiting(&waits.borrow());
        let news = (*self.told.borrow() != wanted).then(|| wanted.clone());
        let args = json!({"id": self.execution_id, "org_id": self.session.org_id(), "waits": news,
            "lease_token": self.lease, "lease_us": self.lease.map(|_| LEASE_US),
            "answers_seen": self.seen.get()});
        // A look that fails says nothing; the next one may.
        let beat: Beat = self.session.call("run_heartbeat", &args).await.ok()?;
        self.told.replace(wanted);
        Some(beat)
    }
}

/// What others may answer.
pub(crate) fn waiting(waits: &[(String, Wait)]) -> Value {
    let all = waits.iter().map(|(node, wait)| {
        json!({"node": node, "kind": wait.kind, "until_us": wait.until_us, "title": wait.title,
            "description": wait.description, "form": wait.form,
            "methods": wait.methods, "respond": wait.respond})
    });
    all.collect()
}

impl Signals for Heartbeat {
    async fn next(&self, waits: &Waits) -> Signal {
        loop {
            if self.cancelled.take() {
                return Signal::Cancel(CancelReason::Requested);
            }
            let said = self.fetched.borrow_mut().pop_front();
            if let Some(said) = said {
                return Signal::Answer {
                    node: said.node,
                    output: said.output,
                    handle: said.handle,
                };
            }
            self.cx.env().sleep_ms(PERIOD_MS).await;
            let Some(beat) = self.beat(waits).await else {
                continue;
            };
            if self.lease.is_some() && beat.outcome == "lost" {
                return Signal::Lost;
            }
            if beat.cancel_requested {
                return Signal::Cancel(CancelReason::Requested);
            }
            self.seen.set(self.seen.get() + beat.answers.len());
            self.fetched.borrow_mut().extend(beat.answers);
        }
    }
}
