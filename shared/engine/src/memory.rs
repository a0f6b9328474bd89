//! Memory of conversations: which earlier turns a model is told of, and which turn is kept of its answer. What was recalled is
//! recorded with the attempt; what is kept is a view of the log, so that neither a resumed run nor a replay keeps anything twice.

use nodeai_llm::{Message, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::log::{AttemptResult, Event, NodeError, What};
use crate::nodes::LlmCall;

/// Most messages that a model is told of: two of each turn.
pub(crate) const MOST_MESSAGES: u64 = 200;
/// Messages where nothing else is said.
const MESSAGES: u32 = 20;
/// Most bytes of what somebody said that are kept; what is longer is cut, and says so.
pub const LONGEST_SAID: usize = 32 * 1024;
/// Most bytes of all turns that a model is told of.
const MOST_BYTES: usize = 256 * 1024;
/// How long a session is kept after its last turn where nothing else is said: 30 days, in ms.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Longest time that a session is kept, in ms.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

/// What was said and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// What the model was asked.
    pub user: String,
    /// Its answer, without the calls of tools that led to it.
    pub assistant: String,
}

/// Whose the sessions of a memory are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryScope {
    /// The workflow's that runs; of one that is called, the caller's.
    #[default]
    Workflow,
    /// All workflows' of the organisation.
    Organisation,
}

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose it is.
    #[serde(default)]
    pub scope: MemoryScope,
    /// The memory; nodes that name the same one share it.
    #[serde(default)]
    pub name: String,
    /// Which conversation in it.
    pub session: String,
}

/// A node's memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// The conversation.
    pub session: Session,
    most_turns: usize,
    ttl_ms: u64,
    user: String,
}

/// Which turn is kept of an attempt, should it succeed; its answer is in the attempt's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The conversation.
    #[serde(flatten)]
    pub session: Session,
    /// What the model was asked.
    pub user: String,
    /// How long the conversation is kept after this turn, in ms.
    pub ttl_ms: u64,
}

/// A turn of a log, to be kept once: by the run and the node's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptTurn {
    /// The node, by its way.
    pub node: String,
    /// The conversation.
    #[serde(flatten)]
    pub session: Session,
    /// What was said.
    #[serde(flatten)]
    pub turn: Turn,
    /// How long the conversation is kept after it, in ms.
    pub ttl_ms: u64,
}

/// `memory` of a node's config.
#[derive(Deserialize)]
pub(crate) struct Config {
    session: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scope: MemoryScope,
    max_messages: Option<u32>,
    ttl_ms: Option<u64>,
}

/// The schema of `memory`.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["session"],
        "description": "Earlier turns of the same session are put before the prompt, and this one is kept",
        "properties": {
            "session": {"type": "string", "minLength": 1, "maxLength": 256,
                "description": "Which conversation, such as {{ inputs.user }}"},
            "name": {"type": "string", "maxLength": 128,
                "description": "Nodes share the sessions of the memory of the same name"},
            "scope": {"type": "string", "enum": ["workflow", "organisation"],
                "description": "Whose the sessions are: this workflow's (unless given), or all workflows'"},
            "max_messages": {"type": "integer", "minimum": 2, "maximum": MOST_MESSAGES, "default": MESSAGES,
                "description": "Most messages that the model is told of, two of each turn"},
            "ttl_ms": {"type": "integer", "minimum": 1_000, "maximum": LONGEST_MS, "default": KEPT_MS,
                "description": "How long a session is kept after its last turn"},
        },
    })
}

impl Config {
    /// The memory of a node that asks this.
    pub(crate) fn memory(self, messages: &[Message]) -> Result<Memory, NodeError> {
        let texts = [("session", &self.session), ("name", &self.name)];
        if let Some((field, _)) = texts.iter().find(|(_, text)| text.contains('\0')) {
            let message = format!("/memory/{field}: has a character that no name has (U+0000)");
            return Err(NodeError::config(message));
        }
        let most = self.max_messages.unwrap_or(MESSAGES);
        Ok(Memory {
            session: Session {
                scope: self.scope,
                name: self.name,
                session: self.session,
            },
            most_turns: usize::try_from(most / 2).unwrap_or(1).max(1),
            ttl_ms: self.ttl_ms.unwrap_or(KEPT_MS),
            user: asked(messages),
        })
    }
}

/// What the user says last. Pictures are not remembered, only that there were some.
fn asked(messages: &[Message]) -> String {
    let last = messages.iter().rfind(|message| message.role == Role::User);
    match last {
        Some(message) if message.content.is_empty() && !message.images.is_empty() => {
            format!("[{} pictures]", message.images.len())
        }
        Some(message) => shortened(&message.content),
        None => String::new(),
    }
}

impl Memory {
    /// How many turns the model is told of at most.
    pub fn most_turns(&self) -> usize {
        self.most_turns
    }

    /// Which turn is kept if the model answers; none when it is asked nothing.
    pub fn keep(&self) -> Option<Keep> {
        let keep = || Keep {
            session: self.session.clone(),
            user: self.user.clone(),
            ttl_ms: self.ttl_ms,
        };
        (!self.user.is_empty()).then(keep)
    }

    /// What the model is told of: the last turns, as far as there is room for them. `own` are those of this run's log,
    /// which the store may not have yet.
    pub fn window(&self, stored: Vec<Turn>, own: &[KeptTurn]) -> Vec<Turn> {
        let own = own.iter().filter(|kept| kept.session == self.session);
        let mut turns = stored;
        turns.extend(own.map(|kept| kept.turn.clone()));
        let mut bytes = 0;
        let fitting = turns.iter().rev().take(self.most_turns).take_while(|turn| {
            bytes += turn.user.len() + turn.assistant.len();
            bytes <= MOST_BYTES
        });
        let left_out = turns.len() - fitting.count();
        turns.split_off(left_out)
    }
}

impl LlmCall {
    /// The node's memory.
    pub fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Puts earlier turns before what is asked, behind the instructions.
    pub(crate) fn remember(&mut self, turns: &[Turn]) {
        let messages = &mut self.chat.messages;
        let instructions = messages.iter();
        let at = instructions
            .take_while(|message| message.role == Role::System)
            .count();
        let earlier = turns.iter().flat_map(|turn| {
            [
                Message::new(Role::User, turn.user.clone()),
                Message::new(Role::Assistant, turn.assistant.clone()),
            ]
        });
        drop(messages.splice(at..at, earlier.collect::<Vec<_>>()));
    }
}

/// The turns that events keep: of attempts that succeeded, with an answer in words.
pub fn turns_of(events: &[Event]) -> Vec<KeptTurn> {
    let kept = events.iter().filter_map(|event| match &event.what {
        What::AttemptFinished {
            node,
            result: AttemptResult::Ok { output, .. },
            call,
            ..
        } => {
            let keep = call.keep.as_deref()?;
            let answer = output["text"].as_str().filter(|text| !text.is_empty())?;
            Some(KeptTurn {
                node: node.clone(),
                session: keep.session.clone(),
                turn: Turn {
                    user: keep.user.clone(),
                    assistant: shortened(answer),
                },
                ttl_ms: keep.ttl_ms,
            })
        }
        _ => None,
    });
    kept.collect()
}

/// A text, or its beginning and how long it was.
fn shortened(text: &str) -> String {
    if text.len() <= LONGEST_SAID {
        return text.to_owned();
    }
    let end = (0..=LONGEST_SAID)
        .rev()
        .find(|&end| text.is_char_boundary(end));
    format!("{}… ({} bytes)", &text[..end.unwrap_or(0)], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::CallMeta;

    fn turn(text: &str) -> Turn {
        Turn {
            user: text.to_owned(),
            assistant: format!("re: {text}"),
        }
    }

    fn memory(config: Value, messages: &[Message]) -> Memory {
        let config: Config = serde_json::from_value(config).expect("a config");
        config.memory(messages).expect("a memory")
    }

    fn finished(node: &str, keep: Option<Keep>, output: Value) -> Event {
        Event {
            seq: 0,
            at_us: 0,
            what: What::AttemptFinished {
                node: node.to_owned(),
                attempt: 1,
                result: AttemptResult::Ok {
                    output,
                    handle: "output".to_owned(),
                },
                call: Box::new(CallMeta {
                    keep: keep.map(Box::new),
                    ..CallMeta::default()
                }),
            },
        }
    }

    #[test]
    fn the_window_has_the_last_turns_and_those_of_the_run_itself() {
        let memory = memory(
            json!({"session": "s", "max_messages": 5}),
            &[Message::new(Role::User, "now")],
        );
        let keep = memory.keep();
        let other = Keep {
            session: Session {
                session: "other".to_owned(),
                ..memory.session.clone()
            },
            ..keep.clone().expect("it keeps")
        };
        let log = [
            finished("a", keep, json!({"text": "own"})),
            finished("b", Some(other), json!({"text": "not this one's"})),
        ];
        let stored = vec![turn("1"), turn("2"), turn("3")];
        let window = memory.window(stored, &turns_of(&log));
        let own = Turn {
            user: "now".to_owned(),
            assistant: "own".to_owned(),
        };
        assert_eq!(window, [turn("3"), own], "five messages are two turns");
    }

    #[test]
    fn turns_that_are_too_large_together_are_left_out_oldest_first() {
        let memory = memory(json!({"session": "s", "max_messages": 200}), &[]);
        let large = turn(&"x".repeat(LONGEST_SAID));
        let stored = vec![large; 10];
        assert_eq!(memory.window(stored, &[]).len(), 3);
        assert_eq!(memory.keep(), None, "nothing was asked");
    }

    #[test]
    fn a_turn_that_is_too_long_is_cut_at_a_character_and_says_so() {
        let long = "é".repeat(LONGEST_SAID);
        let cut = shortened(&long);
        assert!(cut.ends_with(&format!("… ({} bytes)", long.len())), "{cut}");
        assert!(cut.len() < LONGEST_SAID + 40);
    }

    #[test]
    fn only_answers_in_words_are_kept_and_only_of_what_succeeded() {
        let asked = [
            Message::new(Role::User, "first"),
            Message::new(Role::Assistant, "well"),
            Message::new(Role::User, "last"),
        ];
        let memory = memory(json!({"session": "s", "name": "n"}), &asked);
        let keep = memory.keep();
        let mut failed = finished("f", keep.clone(), json!({"text": "x"}));
        if let What::AttemptFinished { result, .. } = &mut failed.what {
            *result = AttemptResult::Error {
                error: NodeError::lost(),
            };
        }
        let log = [
            failed,
            finished("calls", keep.clone(), json!({"text": "", "tool_calls": []})),
            finished("none", None, json!({"text": "x"})),
            finished("each[2]/ask", keep, json!({"text": "yes"})),
        ];
        let kept = turns_of(&log);
        assert_eq!(kept.len(), 1);
        let whole = serde_json::to_value(&kept[0]).expect("JSON");
        assert_eq!(
            whole,
            json!({"node": "each[2]/ask", "scope": "workflow", "name": "n", "session": "s", "user": "last",
                "assistant": "yes", "ttl_ms": KEPT_MS})
        );
    }

    #[test]
    fn pictures_are_mentioned_and_a_name_that_cannot_be_kept_is_refused() {
        let mut message = Message::new(Role::User, "");
        message.images = vec![nodeai_llm::Image {
            url: "https://a.test/x.png".to_owned(),
            detail: None,
        }];
        assert_eq!(asked(&[message]), "[1 pictures]");
        let config: Config = serde_json::from_value(json!({"session": "a\u{0}b"})).expect("read");
        assert!(config.memory(&[]).is_err());
    }
}
