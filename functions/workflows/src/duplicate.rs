//! `POST /api/v1/workflows/{id}/duplicate`

use crate::WorkflowsWrite;
use crate::model::{ALL, Workflow, check_folder};
use crate::save::names;
use nodeai_app::{Caller, Command, Created, PathId, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// What the copy is called and where it goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// 1 to 200 characters; the original's name and `(copy)` unless given.
    #[serde(default)]
    name: Option<String>,
    /// 1 to 500 characters; the original's folder unless given.
    #[serde(default)]
    folder: Option<String>,
}

impl Check for Copy {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        check_folder(c, self.folder.as_deref());
    }
}

/// Copies the current version, of an own or a shared workflow, into a new one of the caller's organisation.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    Valid(input): Valid<Copy>,
) -> Result<Created<Workflow>, Problem> {
    let new_id = clock::new_id();
    let args = json!({"id": id, "new_id": new_id, "name": input.name, "folder": input.folder,
        "at": clock::rfc3339(caller.cx.started_us), "author": caller.session.user_id(), "returning": names(ALL)});
    let location = format!("/api/v1/workflows/{new_id}");
    let command = Command::named("duplicate_workflow", "workflow", &new_id, args)
        .audit("workflow.duplicated", json!({"of": id}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}
