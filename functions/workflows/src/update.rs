//! `PUT /api/v1/workflows/{id}`

use crate::WorkflowsWrite;
use crate::document::Egress;
use crate::model::{ALL, Workflow, WorkflowInput};
use crate::save::{Save, members};
use nodeai_app::{Caller, PathId, Reply, RequiredIfMatch, Valid};
use nodeai_http::Problem;
use serde_json::json;

/// Replaces name, description, tags and definition, and the folder when one is given: a new version.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    RequiredIfMatch(expected): RequiredIfMatch,
    Valid(input): Valid<WorkflowInput>,
) -> Result<Reply<Workflow>, Problem> {
    let egress = Egress::to_store(&caller, &input.definition).await?;
    let mut row = members(json!({"name": input.name, "description": input.description,
        "definition": input.definition, "tags": input.tags}));
    row.extend(
        input
            .folder
            .map(|folder| ("folder".to_owned(), json!(folder))),
    );
    let save = Save {
        id: &id,
        expected,
        message: input.message.as_deref(),
        egress: Some(&egress),
        returning: ALL,
    };
    let command = save
        .command(&caller, row)
        .audit("workflow.updated", json!({}))
        .answer(200, &[], &json!({"egress": egress}));
    caller.write(command).await.map(Reply::from)
}
