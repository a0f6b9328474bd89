//! `POST /api/v1/workflows/{id}/shares`

use super::{Role, Share, write};
use crate::WorkflowsWrite;
use nodeai_app::inputs::check_expiry;
use nodeai_app::{Caller, Created, PathId, Valid, clock};
use nodeai_auth::link_token::{LinkToken, Shows};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// With whom to share: `user_id`, or `link`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareInput {
    /// A user.
    #[serde(default)]
    user_id: Option<String>,
    /// Whoever has the link that this makes.
    #[serde(default)]
    link: bool,
    /// `viewer` unless given; a link is for viewers.
    #[serde(default)]
    role: Role,
    /// When it ends, RFC 3339.
    #[serde(default)]
    expires_at: Option<String>,
}

impl Check for ShareInput {
    fn check(&self, c: &mut Checker) {
        let one = self.user_id.is_some() != self.link;
        c.require(
            one,
            "/user_id",
            "one_of",
            "give either user_id, or link: true",
        );
        if let Some(id) = &self.user_id {
            let holds = uuid::Uuid::parse_str(id).is_ok();
            c.require(holds, "/user_id", "format", "must be a UUID");
        }
        let fits = !self.link || self.role == Role::Viewer;
        c.require(fits, "/role", "invalid", "a link is for viewers");
        check_expiry(c, self.expires_at.as_deref());
    }
}

/// A new share.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NewShare {
    /// The link's token, for `GET /api/v1/workflows/shared/{token}`: shown here and never again. Absent for a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Everything else about it.
    #[serde(flatten)]
    rest: Share,
}

/// Shares the workflow.
pub async fn handle(
    caller: Caller<WorkflowsWrite>,
    PathId(workflow_id): PathId,
    Valid(input): Valid<ShareInput>,
) -> Result<Created<NewShare>, Problem> {
    let id = clock::new_id();
    let token = match input.link {
        true => Some(draw()?),
        false => None,
    };
    let row = json!({"workflow_id": workflow_id, "user_id": input.user_id, "role": input.role,
        "token_hash": token.as_ref().map(LinkToken::hash), "expires_at": input.expires_at});
    let location = format!("/api/v1/workflows/{workflow_id}/shares/{id}");
    let mut command = write(&workflow_id, &id, json!({"op": "insert", "row": row}))
        .audit("workflow.shared", json!({"workflow_id": workflow_id}))
        .answer(201, &[("location", &location)], &json!({}));
    if let Some(token) = &token {
        command = command.once("token", token.expose());
    }
    caller.write(command).await.map(Created::from)
}

/// Never refused in practice: 64 random bytes hold 43 usable ones but once in 10^16 draws.
fn draw() -> Result<LinkToken, Problem> {
    LinkToken::mint(Shows::Workflow, &clock::random::<64>())
        .ok_or_else(|| Problem::internal("no token could be drawn; try again"))
}
