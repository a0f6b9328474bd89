//! `POST /api/v1/workflows`

use crate::WorkflowsWrite;
use crate::document::Egress;
use crate::model::{ALL, Workflow, WorkflowInput};
use nodeai_app::{Caller, Created, Op, Valid, Write, clock};
use nodeai_http::Problem;
use nodeai_store::tables::workflows;
use serde_json::json;

/// Stores the workflow with its first version.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    Valid(input): Valid<WorkflowInput>,
) -> Result<Created<Workflow>, Problem> {
    let id = clock::new_id();
    let now = clock::rfc3339(caller.cx.started_us);
    let row = json!({"name": input.name, "description": input.description, "definition": input.definition,
        "tags": input.tags, "folder": input.folder, "created_at": now, "updated_at": now});
    let egress = Egress::to_store(&caller, &input.definition).await?;
    // The store puts the row's own document into the version.
    let version = json!({"workflow_id": id, "message": input.message, "author": caller.session.user_id(),
            "egress": egress.stored()});
    let location = format!("/api/v1/workflows/{id}");
    let write = Write::new(Op::Insert, workflows::TABLE, "workflow", &id)
        .row(row)
        .child("workflow_versions", version)
        .returning(ALL)
        .audit("workflow.created", json!({}))
        .answer(201, &[("location", &location)], &json!({"egress": egress}));
    caller.write(write).await.map(Created::from)
}
