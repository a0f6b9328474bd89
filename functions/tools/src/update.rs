//! `PUT` and `PATCH /api/v1/tools/{id}`

use crate::ToolsWrite;
use crate::kinds::{ToolInput, check_limits, check_permissions};
use crate::model::{Limits, SHOWN, Tool, tools as col};
use nodeai_app::{Caller, Command, IfMatch, Op, PathId, Reply, RequiredIfMatch, Valid, Write};
use nodeai_http::{Check, Checker, Problem};
use nodeai_toolkit::permissions::Permissions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Replaces all of a tool but its kind.
pub async fn replace(
    caller: Caller<ToolsWrite>,
    PathId(id): PathId,
    RequiredIfMatch(expected): RequiredIfMatch,
    Valid(input): Valid<ToolInput>,
) -> Result<Reply<Tool>, Problem> {
    let kind = input.kind.as_str();
    let row = input.row(&caller).await?;
    let args = json!({"id": id, "kind": kind, "row": row, "expect_version": expected});
    let command = Command::named("tool_replace", "tool", &id, args)
        .audit("tool.replaced", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// What may change without saying all of it; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolPatch {
    /// Whether it may be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
    /// Who may call what, in place of what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    permissions: Option<Permissions>,
    /// Limits of a call, in place of what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
}

impl Check for ToolPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(permissions) = &self.permissions {
            check_permissions(c, permissions);
        }
        if let Some(limits) = self.limits {
            check_limits(c, limits);
        }
    }
}

/// Changes who may call it.
pub async fn patch(
    caller: Caller<ToolsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<ToolPatch>,
) -> Result<Reply<Tool>, Problem> {
    let write = Write::new(Op::Update, col::TABLE, "tool", &id)
        .row(json!(patch))
        .expect_version(expected)
        .returning(SHOWN)
        .audit("tool.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(write).await.map(Reply::from)
}
