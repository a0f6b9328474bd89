//! Shares of a workflow: with a user, or with whoever has a link.

pub mod change;
pub mod create;
pub mod link;
pub mod list;
pub mod received;
pub mod remove;

use crate::save::names;
use nodeai_app::Command;
use nodeai_store::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

nodeai_store::columns! {
    /// Shares of workflows.
    workflow_shares {
        id: Uuid, user_id: Uuid, role: Text, expires_at: Time, version: Int, created_by: Uuid, created_at: Time,
        updated_at: Time,
    }
}

/// What is shown of a share.
const SHOWN: &[Column] = &[
    workflow_shares::id,
    workflow_shares::user_id,
    workflow_shares::role,
    workflow_shares::expires_at,
    workflow_shares::version,
    workflow_shares::created_by,
    workflow_shares::created_at,
    workflow_shares::updated_at,
];

/// A share.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Id (UUIDv7).
    pub id: String,
    /// With whom; null for whoever has the link.
    pub user_id: Option<String>,
    /// What they may do.
    pub role: Role,
    /// When it ends, RFC 3339; null for never.
    pub expires_at: Option<String>,
    /// Version, for `If-Match`.
    pub version: i64,
    /// The user who shared.
    pub created_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// What a share allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read it, copy it, and run it in one's own organisation.
    #[default]
    Viewer,
    /// Save new versions of it too. Not for links.
    Editor,
}

/// A write of the share `id` of a workflow; `args` has op, row and what else the write takes.
fn write(workflow_id: &str, id: &str, mut args: Value) -> Command {
    args["workflow_id"] = json!(workflow_id);
    args["id"] = json!(id);
    args["returning"] = json!(names(SHOWN));
    Command::named("share_workflow", "share", id, args)
}
