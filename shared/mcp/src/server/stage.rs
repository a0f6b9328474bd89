//! Between what answers a request and what sends the answer: whether it is JSON or a stream of events shows when the first
//! thing comes out.

use super::{Answer, Outlet};
use bytes::Bytes;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use serde_json::Value;

/// What comes out of an answer in the making.
#[derive(Debug)]
pub enum Played {
    /// A notification: the answer has to be a stream.
    Notification(Value),
    /// The end.
    Answer(Answer),
}

impl Played {
    /// It as an event of a stream.
    pub fn event(&self) -> Bytes {
        match self {
            Self::Notification(message) => event(message),
            Self::Answer(answer) => event(answer.body.as_ref().unwrap_or(&Value::Null)),
        }
    }
}

/// A message as a server-sent event.
pub fn event(message: &Value) -> Bytes {
    Bytes::from(format!("event: message\ndata: {message}\n\n"))
}

/// The side that makes the answer.
pub struct Actor(UnboundedSender<Played>);

impl Actor {
    /// Hands the answer on. It goes nowhere when the client has gone.
    pub fn finish(&self, answer: Answer) {
        let _ = self.0.unbounded_send(Played::Answer(answer));
    }
}

impl Outlet for Actor {
    fn notify(&self, notification: Value) -> bool {
        let sent = self.0.unbounded_send(Played::Notification(notification));
        sent.is_ok()
    }
}

/// Both sides.
pub fn stage() -> (Actor, UnboundedReceiver<Played>) {
    let (sender, receiver) = unbounded();
    (Actor(sender), receiver)
}
