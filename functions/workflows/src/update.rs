//! `PUT /api/v1/workflows/{id}`

use crate::WorkflowsWrite;
use crate::model::WorkflowInput;
use nodeai_app::{Caller, Op, PathId, RequiredIfMatch, Valid, Write, clock};
use nodeai_http::reply::Response;
use nodeai_http::{IntoReply, Problem, openapi::Describe};
use nodeai_store::tables::workflows;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

/// The workflow after the change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Updated {
    id: String,
    name: String,
    description: Option<String>,
    definition: Value,
    /// The new version.
    version: i64,
    tags: Vec<String>,
    updated_at: String,
}

/// 200 with the new version.
pub struct Reply(Response);

impl IntoReply for Reply {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.json_response::<Updated>("200", "The new version; its ETag is set");
    }
}

/// Replaces name, description, tags and definition; the definition becomes a new version.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    RequiredIfMatch(expected): RequiredIfMatch,
    Valid(input): Valid<WorkflowInput>,
) -> Result<Reply, Problem> {
    let now = clock::rfc3339(caller.cx.started_us);
    let row = json!({"name": input.name, "description": input.description,
        "definition": input.definition, "tags": input.tags, "updated_at": now});
    let version = json!({"workflow_id": id, "definition": input.definition, "message": input.message,
        "author": caller.session.user_id()});
    let updated = Updated {
        id: id.clone(),
        name: input.name,
        description: input.description,
        definition: input.definition,
        // The store puts the real one here.
        version: expected.map_or(0, |v| v + 1),
        tags: input.tags,
        updated_at: now,
    };
    let write = Write::new(Op::Update, workflows::TABLE, "workflow", &id)
        .row(row)
        .expect_version(expected)
        .child("workflow_versions", version)
        .audit("workflow.updated", json!({"name": updated.name}))
        .answer(200, &[], &updated);
    caller.write(write).await.map(Reply)
}
