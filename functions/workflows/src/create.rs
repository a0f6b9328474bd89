//! `POST /api/v1/workflows`

use crate::WorkflowsWrite;
use crate::model::{Workflow, WorkflowInput};
use nodeai_app::{Caller, Op, Valid, Write, clock};
use nodeai_http::reply::Response;
use nodeai_http::{IntoReply, Problem, openapi::Describe};
use nodeai_store::tables::workflows;
use serde_json::json;

/// 201 with the new workflow.
pub struct Created(Response);

impl IntoReply for Created {
    fn into_reply(self) -> Response {
        self.0
    }

    fn describe(op: &mut Describe) {
        op.json_response::<Workflow>("201", "Created; Location and ETag are set");
    }
}

/// Stores the workflow with its first version.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    Valid(input): Valid<WorkflowInput>,
) -> Result<Created, Problem> {
    let id = clock::new_id();
    let now = clock::rfc3339(caller.cx.started_us);
    let row = json!({"name": input.name, "description": input.description,
        "definition": input.definition, "tags": input.tags, "created_at": now, "updated_at": now});
    let version = json!({"workflow_id": id, "definition": input.definition, "message": input.message,
        "author": caller.session.user_id()});
    let workflow = Workflow {
        id: id.clone(),
        name: input.name,
        description: input.description,
        definition: input.definition,
        version: 1,
        tags: input.tags,
        created_by: Some(caller.session.user_id().to_owned()),
        created_at: now.clone(),
        updated_at: now,
    };
    let location = format!("/api/v1/workflows/{id}");
    let write = Write::new(Op::Insert, workflows::TABLE, "workflow", &id)
        .row(row)
        .child("workflow_versions", version)
        .audit("workflow.created", json!({"name": workflow.name}))
        .answer(201, &[("location", &location)], &workflow);
    caller.write(write).await.map(Created)
}
