//! What somebody outside says to a run: cancelled, or an answer to a node that waits. Asked for once a second, which is
//! also the run's sign of life.

use nodeai_app::Cx;
use nodeai_engine::CancelReason;
use nodeai_runner::{Signal, Signals, Waits};
use nodeai_store::Session;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Milliseconds between two looks.
const PERIOD_MS: u64 = 1_000;

/// The run's heartbeat.
pub struct Heartbeat {
    cx: Rc<Cx>,
    session: Rc<Session>,
    execution_id: String,
    /// Answers that were fetched and not handed on yet.
    fetched: RefCell<VecDeque<Said>>,
    seen: Cell<usize>,
    /// What the store was told last of what the run waits for.
    told: RefCell<Value>,
}

#[derive(Deserialize)]
struct Beat {
    #[serde(default)]
    cancel_requested: bool,
    #[serde(default)]
    answers: Vec<Said>,
}

#[derive(Deserialize)]
struct Said {
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
            fetched: RefCell::default(),
            seen: Cell::new(0),
            told: RefCell::new(json!([])),
        }
    }

    async fn beat(&self, waits: &Waits) -> Option<Beat> {
        let wanted = waiting(waits);
        let news = (*self.told.borrow() != wanted).then(|| wanted.clone());
        let args = json!({"id": self.execution_id, "org_id": self.session.org_id(), "waits": news,
            "answers_seen": self.seen.get()});
        // A look that fails says nothing; the next one may.
        let beat: Beat = self.session.call("run_heartbeat", &args).await.ok()?;
        self.told.replace(wanted);
        Some(beat)
    }
}

/// What others may answer.
fn waiting(waits: &Waits) -> Value {
    let waits = waits.borrow();
    let all = waits.iter().map(|(node, wait)| {
        json!({"node": node, "kind": wait.kind, "until_us": wait.until_us, "title": wait.title,
            "description": wait.description, "form": wait.form})
    });
    all.collect()
}

impl Signals for Heartbeat {
    async fn next(&self, waits: &Waits) -> Signal {
        loop {
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
            if beat.cancel_requested {
                return Signal::Cancel(CancelReason::Requested);
            }
            self.seen.set(self.seen.get() + beat.answers.len());
            self.fetched.borrow_mut().extend(beat.answers);
        }
    }
}
