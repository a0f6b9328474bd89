//! `PATCH /api/v1/workflows/{id}/shares/{share_id}`

use super::{Role, Share, write};
use crate::WorkflowsWrite;
use crate::path::ShareId;
use nodeai_app::inputs::check_expiry;
use nodeai_app::{Caller, IfMatch, PathId, Reply, Valid};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharePatch {
    /// A link is for viewers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// When it ends, RFC 3339; null for never.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    expires_at: Option<Option<String>>,
}

impl Check for SharePatch {
    fn check(&self, c: &mut Checker) {
        check_expiry(c, self.expires_at.as_ref().and_then(Option::as_deref));
    }
}

/// Changes role or end.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(workflow_id): PathId,
    ShareId(id): ShareId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<SharePatch>,
) -> Result<Reply<Share>, Problem> {
    let args = json!({"op": "update", "row": patch, "expect_version": expected});
    let command = write(&workflow_id, &id, args)
        .audit(
            "workflow.share_changed",
            json!({"workflow_id": workflow_id}),
        )
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
