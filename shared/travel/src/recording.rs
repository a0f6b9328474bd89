//! A run's log as it is stored: a list of pieces, each the exact text of some events. A store that keeps JSON in a form of its
//! own (PostgreSQL's jsonb orders members and rewrites numbers) cannot change what is inside of a text.

use nodeai_engine::Event;
use serde_json::Value;

/// A log that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the recording cannot be read: {0}")]
pub struct Unreadable(String);

/// A run's log and how it was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    events: Vec<Event>,
    /// Texts and where their events begin and end. Those of older runs have none: their events were stored as JSON.
    texts: Vec<(std::ops::Range<usize>, String)>,
}

/// Events as they are stored: one piece.
pub fn written(events: &[Event]) -> Vec<Value> {
    match text(events) {
        Some(text) if !events.is_empty() => vec![Value::String(text)],
        _ => Vec::new(),
    }
}

/// The text of events. Names of members are strings, so there always is one.
fn text(events: &[Event]) -> Option<String> {
    serde_json::to_string(events).ok()
}

impl Recording {
    /// Reads pieces: texts of events, and events themselves.
    ///
    /// # Errors
    /// A piece that is neither.
    pub fn read(pieces: Vec<Value>) -> Result<Self, Unreadable> {
        let unreadable = |error: serde_json::Error| Unreadable(error.to_string());
        let mut recording = Self::default();
        for piece in pieces {
            let first = recording.events.len();
            match piece {
                Value::String(text) => {
                    let events: Vec<Event> = serde_json::from_str(&text).map_err(unreadable)?;
                    recording.events.extend(events);
                    let range = first..recording.events.len();
                    recording.texts.push((range, text));
                }
                event => {
                    let event = serde_json::from_value(event).map_err(unreadable)?;
                    recording.events.push(event);
                }
            }
        }
        Ok(recording)
    }

    /// The log.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The first event that is not written as it was; none when all bytes are the same. Of events that were stored as JSON
    /// the values count.
    pub(crate) fn differs_at(&self, replayed: &[Event]) -> Option<usize> {
        let differs = |at: usize| {
            let (was, is) = (self.events.get(at), replayed.get(at));
            was != is || text_of(was) != text_of(is)
        };
        let most = self.events.len().max(replayed.len());
        if self.events.len() != replayed.len() {
            return (0..most).find(|&at| differs(at));
        }
        let mut plain = 0;
        for (range, was) in &self.texts {
            let own = (plain..range.start).find(|&at| self.events[at] != replayed[at]);
            if own.is_some() {
                return own;
            }
            let is = text(&replayed[range.clone()]);
            if is.as_deref() != Some(was) {
                return range.clone().find(|&at| differs(at)).or(Some(range.start));
            }
            plain = range.end;
        }
        (plain..most).find(|&at| self.events[at] != replayed[at])
    }
}

fn text_of(event: Option<&Event>) -> Option<String> {
    event.and_then(|event| serde_json::to_string(event).ok())
}

#[cfg(test)]
mod tests {
    use nodeai_engine::{CancelReason, What};
    use serde_json::json;

    use super::*;

    fn event(seq: u64, output: Value) -> Event {
        Event {
            seq,
            at_us: 1_764_028_799_999_999,
            what: What::NodeResumed {
                node: "ask".into(),
                output,
                handle: "approved".into(),
            },
        }
    }

    #[test]
    fn what_a_store_would_rewrite_comes_back_as_it_was() {
        let output = json!({"long name": 1e16, "b": 0.1 + 0.2, "a": "\u{0}é", "n": 1.0});
        let events = vec![event(0, output), event(1, json!([-0.0]))];
        let pieces = written(&events);
        assert!(
            !json!(pieces).to_string().contains("\\u0000\""),
            "{pieces:?}"
        );
        let read = Recording::read(pieces).unwrap();
        assert_eq!(text(read.events()), text(&events));
        assert_eq!(read.differs_at(&events), None);
    }

    #[test]
    fn another_order_of_members_is_another_text() {
        let events = vec![event(0, json!({"b": 1, "a": 2}))];
        let read = Recording::read(written(&events)).unwrap();
        let other = vec![event(0, json!({"a": 2, "b": 1}))];
        assert_eq!(other, events);
        assert_eq!(read.differs_at(&other), Some(0));
        let old = Recording::read(vec![json!(events[0])]).unwrap();
        assert_eq!(old.differs_at(&other), None, "older logs have values alone");
    }

    #[test]
    fn a_log_that_ends_early_differs_where_it_ends() {
        let cancelled = Event {
            seq: 1,
            at_us: 5,
            what: What::RunCancelRequested {
                reason: CancelReason::Requested,
            },
        };
        let events = vec![event(0, json!(1)), cancelled];
        let read = Recording::read(written(&events)).unwrap();
        assert_eq!(read.differs_at(&events[..1]), Some(1));
        assert!(Recording::read(vec![json!("nothing")]).is_err());
        assert!(Recording::read(vec![json!(3)]).is_err());
    }
}
