//! `GET /api/v1/workflows/execute/memory/{id}`

use super::model::Session;
use crate::WorkflowsRead;
use nodeai_app::{Caller, PathId, clock};
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A conversation with what was said.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Conversation {
    #[serde(flatten)]
    session: Session,
    /// What was said, oldest first: a question, its answer, and so on.
    messages: Vec<Said>,
}

/// Who said something.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Whoever asked.
    User,
    /// The model.
    Assistant,
}

/// A message of a conversation.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Said {
    /// Who said it.
    role: Role,
    /// What; cut where it was longer than 32 KiB.
    content: String,
    /// The run that it was said in.
    execution_id: String,
    /// The node, with the way to it where it is inside of a loop.
    node: String,
    /// When it was kept, RFC 3339.
    at: String,
}

#[derive(Deserialize)]
struct Found {
    session: Session,
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    asked: String,
    answered: String,
    execution_id: String,
    node: String,
    at_us: i64,
}

impl Turn {
    fn messages(self) -> [Said; 2] {
        let of = |role: Role, content: String| Said {
            role,
            content,
            execution_id: self.execution_id.clone(),
            node: self.node.clone(),
            at: clock::rfc3339(self.at_us),
        };
        [
            of(Role::User, self.asked.clone()),
            of(Role::Assistant, self.answered.clone()),
        ]
    }
}

/// One conversation.
pub async fn handle(
    caller: Caller<WorkflowsRead>,
    PathId(id): PathId,
) -> Result<Json<Conversation>, Problem> {
    let args = json!({"id": id, "org_id": caller.org_id()});
    let found: Option<Found> = caller.call("memory_session", &args).await?;
    let found = found.ok_or_else(|| Problem::not_found("there is no such session"))?;
    Ok(Json::ok(Conversation {
        session: found.session,
        messages: found.turns.into_iter().flat_map(Turn::messages).collect(),
    }))
}
