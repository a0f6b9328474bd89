//! A run as server-sent events: what the runner reports, then `run_finished` once everything is committed.

use crate::commit::commit;
use crate::drive::{Limit, drive};
use crate::model::RunResult;
use crate::start::Started;
use bytes::Bytes;
use futures::channel::mpsc::{Sender, channel};
use futures::lock::Mutex;
use futures::{SinkExt, StreamExt, stream};
use nodeai_app::{Caller, Scope};
use nodeai_http::Problem;
use nodeai_http::reply::{Response, event_stream, sse_event};
use nodeai_runner::{Closed, Live, Sink};
use std::cell::Cell;

/// Events that may wait for the client: few, so that a slow reader slows the run and a lost one is noticed.
const WAITING: usize = 16;

/// Answers with a stream and runs on behind it.
pub fn open<S: Scope>(caller: Caller<S>, started: Started) -> Response {
    caller.cx.own_trace.set(true);
    let (sender, receiver) = channel(WAITING);
    let env = caller.cx.env().clone();
    env.spawn(Box::pin(async move {
        let events = Events::new(sender);
        let finished = drive(&caller, &started, &events, Limit::Streamed).await;
        match commit(&caller, &started, finished).await {
            Ok(result) => events.last("run_finished", &result).await,
            Err(problem) => events.last("error", &with_trace(problem, &caller)).await,
        }
    }));
    event_stream(receiver.boxed())
}

fn with_trace<S: Scope>(mut problem: Problem, caller: &Caller<S>) -> Problem {
    problem.trace_id = Some(caller.cx.trace.trace_id.to_string());
    problem
}

/// The answer of a repeated request: only its end is known.
pub fn replay(result: RunResult) -> Response {
    let event = sse_event("run_finished", 0, &result);
    event_stream(stream::once(async move { event }).boxed())
}

struct Events {
    sender: Mutex<Sender<Bytes>>,
    id: Cell<u64>,
}

impl Events {
    fn new(sender: Sender<Bytes>) -> Self {
        Self {
            sender: Mutex::new(sender),
            id: Cell::new(0),
        }
    }

    async fn event(&self, name: &str, data: &impl serde::Serialize) -> Result<(), Closed> {
        // One sender for all: each clone of it would have a place of its own, and nothing would ever wait.
        let mut sender = self.sender.lock().await;
        let id = self.id.get();
        self.id.set(id + 1);
        sender
            .send(sse_event(name, id, data))
            .await
            .map_err(|_| Closed)
    }

    /// The client may have gone; the run is committed all the same.
    async fn last(&self, name: &str, data: &impl serde::Serialize) {
        let _ = self.event(name, data).await;
    }
}

impl Sink for Events {
    fn wants_events(&self) -> bool {
        true
    }

    async fn send(&self, event: Live) -> Result<(), Closed> {
        self.event(event.name(), &event).await
    }
}
