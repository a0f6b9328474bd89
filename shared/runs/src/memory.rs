//! Conversations of models as the store keeps them. They are read before a model is asked; a turn is written by the statement that
//! stores the end of its attempt.

use crate::commit::strip_nul;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_app::errors::log;
use nodeai_engine::{Event, MemoryScope, NodeError, Session as Conversation, Turn, turns_of};
use nodeai_runner::MemoryPort;
use nodeai_store::{Error, Session};
use serde_json::{Value, json};
use std::rc::Rc;

/// The port of one run.
pub struct Conversations {
    /// Its admitted session.
    pub session: Rc<Session>,
    /// The run.
    pub execution_id: String,
    /// The stored workflow.
    pub workflow_id: Option<String>,
}

impl Conversations {
    async fn last(&self, of: &Conversation, most_turns: usize) -> Result<Vec<Turn>, NodeError> {
        let workflow_id = match of.scope {
            MemoryScope::Organisation => None,
            MemoryScope::Workflow if self.workflow_id.is_some() => self.workflow_id.as_deref(),
            MemoryScope::Workflow => {
                let message = "/memory: a workflow that is not stored has no sessions of its own; store it, or say scope organisation";
                return Err(NodeError::config(message.to_owned()));
            }
        };
        let mut args = json!({"org_id": self.session.org_id(), "workflow_id": workflow_id, "name": of.name,
            "session": of.session, "execution_id": self.execution_id, "most": most_turns});
        strip_nul(&mut args);
        let turns = self.session.call("memory_recall", &args).await;
        turns.map_err(|error| {
            log("memory_recall", &error.to_string());
            let passes = matches!(error, Error::Unavailable(_));
            NodeError::new("memory_unavailable", "the session cannot be read", passes)
        })
    }
}

impl std::fmt::Debug for Conversations {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Conversations")
    }
}

impl MemoryPort for Conversations {
    fn recall<'a>(
        &'a self,
        session: &'a Conversation,
        most_turns: usize,
    ) -> LocalBoxFuture<'a, Result<Vec<Turn>, NodeError>> {
        self.last(session, most_turns).boxed_local()
    }
}

/// The turns that events keep, as the store takes them; null without any.
pub(crate) fn kept(events: &[Event]) -> Value {
    match turns_of(events) {
        turns if turns.is_empty() => Value::Null,
        turns => json!(turns),
    }
}
