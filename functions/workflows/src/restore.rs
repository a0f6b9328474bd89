//! `POST /api/v1/workflows/{id}/restore`

use crate::WorkflowsWrite;
use crate::model::{ALL, Workflow, check_message};
use crate::save::Save;
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

/// What to restore.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The version whose document comes back.
    version: i32,
    /// Note for the new version, at most 1,000 characters; `Restored version …` unless given.
    #[serde(default)]
    message: Option<String>,
}

impl Check for Restore {
    fn check(&self, c: &mut Checker) {
        check_message(c, self.message.as_deref());
        c.require(
            self.version > 0,
            "/version",
            "out_of_range",
            "version numbers begin at 1",
        );
    }
}

/// Makes a new version with an old one's document. Nothing is lost: what was current stays a version too.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(input): Valid<Restore>,
) -> Result<Reply<Workflow>, Problem> {
    let number = input.version;
    let message = input
        .message
        .unwrap_or_else(|| format!("Restored version {number}"));
    let save = Save {
        id: &id,
        expected,
        message: Some(&message),
        egress: None,
        returning: ALL,
    };
    let mut args = save.args(&caller, Map::new());
    args["number"] = json!(number);
    let command = Command::named("restore_workflow", "workflow", &id, args)
        .audit("workflow.restored", json!({"restored": number}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
