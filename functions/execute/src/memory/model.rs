//! Conversations as the API shows them.

use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

nodeai_store::columns! {
    /// Conversations.
    memory_sessions {
        id: Uuid, workflow_id: Uuid, name: Text, session: Text, turns: Int, expires_at: Time, created_at: Time,
        updated_at: Time,
    }
}

use memory_sessions as col;

/// What is shown of a conversation.
pub const SHOWN: &[Column] = &[
    col::id,
    col::workflow_id,
    col::name,
    col::session,
    col::turns,
    col::expires_at,
    col::created_at,
    col::updated_at,
];

/// A conversation that models remember.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Id (UUIDv7).
    pub id: String,
    /// The workflow whose it is; null when it is all workflows'.
    pub workflow_id: Option<String>,
    /// The memory's name; empty for the one without a name.
    pub name: String,
    /// Which conversation, as `memory.session` of a node says.
    pub session: String,
    /// How many turns it has: the last hundred are kept.
    pub turns: i64,
    /// When it is forgotten unless it goes on, RFC 3339.
    pub expires_at: String,
    /// RFC 3339.
    pub created_at: String,
    /// When its last turn came, RFC 3339.
    pub updated_at: String,
}
