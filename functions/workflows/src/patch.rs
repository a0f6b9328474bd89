//! `PATCH /api/v1/workflows/{id}`

use crate::WorkflowsWrite;
use crate::model::{BRIEF, WorkflowBrief, check_description, check_folder, check_tags};
use crate::save::{Save, members};
use nodeai_app::{Caller, IfMatch, PathId, Reply, Valid};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is known about a workflow; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowPatch {
    /// 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// At most 10,000 characters; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    description: Option<Option<String>>,
    /// At most 50 tags of 1 to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    /// 1 to 500 characters; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    folder: Option<Option<String>>,
}

impl Check for WorkflowPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        check_description(c, self.description.as_ref().and_then(Option::as_deref));
        check_tags(c, self.tags.as_deref().unwrap_or_default());
        check_folder(c, self.folder.as_ref().and_then(Option::as_deref));
    }
}

/// Changes what is known about the workflow; its document stays. This is a save too, and so a version.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<WorkflowPatch>,
) -> Result<Reply<WorkflowBrief>, Problem> {
    let save = Save {
        id: &id,
        expected,
        message: None,
        egress: None,
        returning: BRIEF,
    };
    let command = save
        .command(&caller, members(json!(patch)))
        .audit("workflow.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
