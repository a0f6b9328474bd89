//! `POST /api/v1/traces/{trace_id}/share`

use super::{Share, write};
use crate::TracesWrite;
use crate::load;
use nodeai_app::inputs::check_expiry;
use nodeai_app::{Caller, Created, Valid, clock};
use nodeai_auth::link_token::{LinkToken, Shows};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What the link shows, and how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareInput {
    /// Also what went in and came out: prompts, answers, messages of errors. Not unless given.
    #[serde(default)]
    payloads: bool,
    /// When it ends, RFC 3339.
    #[serde(default)]
    expires_at: Option<String>,
}

impl Check for ShareInput {
    fn check(&self, c: &mut Checker) {
        check_expiry(c, self.expires_at.as_deref());
    }
}

/// A new link.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NewShare {
    /// Its token, for `GET /api/v1/traces/shared/{token}`: shown here and never again.
    token: Option<String>,
    /// Everything else about it.
    #[serde(flatten)]
    rest: Share,
}

/// Makes a link; the store keeps the hash of its token.
pub async fn handle(
    caller: Caller<TracesWrite>,
    Valid(input): Valid<ShareInput>,
) -> Result<Created<NewShare>, Problem> {
    let trace_id = load::trace_id(caller.cx.parameter("trace_id"))?;
    let id = clock::new_id();
    let token = draw()?;
    let row = json!({"trace_id": trace_id, "token_hash": token.hash(), "payloads": input.payloads,
        "expires_at": input.expires_at});
    let location = format!("/api/v1/traces/{trace_id}/shares/{id}");
    let command = write(&trace_id, &id, json!({"op": "insert", "row": row}))
        .audit(
            "trace.shared",
            json!({"trace_id": trace_id, "payloads": input.payloads}),
        )
        .answer(201, &[("location", &location)], &json!({}))
        .once("token", token.expose());
    caller.write(command).await.map(Created::from)
}

/// Never refused in practice: 64 random bytes hold 43 usable ones but once in 10^16 draws.
fn draw() -> Result<LinkToken, Problem> {
    LinkToken::mint(Shows::Trace, &clock::random::<64>())
        .ok_or_else(|| Problem::internal("no token could be drawn; try again"))
}
