//! A run as server-sent events: what the runner reports, then `run_finished` once everything is committed. An event's
//! id is its place in the run's log, so that a client that was cut off can go on from there.

use crate::commit::{Ran, commit};
use crate::drive::{STREAMED, drive};
use crate::model::RunResult;
use crate::start::Started;
use bytes::Bytes;
use futures::channel::mpsc::{Sender, channel};
use futures::lock::Mutex;
use futures::{SinkExt, StreamExt, stream};
use nodeai_app::{Caller, Scope};
use nodeai_http::Problem;
use nodeai_http::reply::{Response, event_stream, sse_event, sse_keep_alive};
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
        let finished = drive(&caller, &started, &events, STREAMED).await;
        let end = finished.log.len() as u64;
        match commit(&caller, &Ran::of(&started), finished).await {
            Ok(result) => events.last("run_finished", Some(end), &result).await,
            Err(problem) => {
                let problem = with_trace(problem, &caller);
                events.last("error", None, &problem).await;
            }
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
    let event = sse_event("run_finished", None, &result);
    event_stream(stream::once(async move { event }).boxed())
}

/// The way to a client.
pub(crate) struct Events {
    sender: Mutex<Sender<Bytes>>,
    /// Whether nothing was written since somebody looked.
    silent: Cell<bool>,
}

impl Events {
    pub(crate) fn new(sender: Sender<Bytes>) -> Self {
        Self {
            sender: Mutex::new(sender),
            silent: Cell::new(false),
        }
    }

    pub(crate) async fn write(&self, bytes: Bytes) -> Result<(), Closed> {
        // One sender for all: each clone of it would have a place of its own, and nothing would ever wait.
        self.silent.set(false);
        let mut sender = self.sender.lock().await;
        sender.send(bytes).await.map_err(|_| Closed)
    }

    /// The client may have gone; the run is committed all the same.
    pub(crate) async fn last(&self, name: &str, id: Option<u64>, data: &impl serde::Serialize) {
        let _ = self.write(sse_event(name, id, data)).await;
    }
}

impl Sink for Events {
    fn wants_events(&self) -> bool {
        true
    }

    async fn send(&self, seq: Option<u64>, event: Live) -> Result<(), Closed> {
        self.write(sse_event(event.name(), seq, &event)).await
    }

    /// A comment once nothing else is written: only a write finds out that a client has gone.
    async fn beat(&self) -> Result<(), Closed> {
        // Who holds it is writing.
        let Some(mut sender) = self.sender.try_lock() else {
            return Ok(());
        };
        if !self.silent.replace(true) {
            return match sender.is_closed() {
                true => Err(Closed),
                false => Ok(()),
            };
        }
        match sender.try_send(sse_keep_alive()) {
            Err(error) if error.is_disconnected() => Err(Closed),
            // What waits to be written is more than a comment.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn beat(events: &Events) -> Result<(), Closed> {
        events.beat().now_or_never().expect("it does not wait")
    }

    #[test]
    fn a_silent_stream_has_comments_and_a_client_that_has_gone_is_noticed() {
        let (sender, mut receiver) = channel(2);
        let events = Events::new(sender);
        let mut came = || receiver.next().now_or_never().flatten();
        assert_eq!(beat(&events), Ok(()));
        assert_eq!(came(), None, "nothing was silent yet");
        assert_eq!(beat(&events), Ok(()));
        assert_eq!(came(), Some(sse_keep_alive()));
        let written = events.write(Bytes::from_static(b"x")).now_or_never();
        assert_eq!(written, Some(Ok(())));
        assert_eq!(beat(&events), Ok(()));
        assert_eq!(came(), Some(Bytes::from_static(b"x")));
        assert_eq!(came(), None, "what was written is enough");
        // A client that does not read for now is not waited for.
        for _ in 0..20 {
            assert_eq!(beat(&events), Ok(()));
        }
        drop(receiver);
        assert_eq!(beat(&events), Err(Closed));
    }
}
