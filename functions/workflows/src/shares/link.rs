//! `GET /api/v1/workflows/shared/{token}`

use nodeai_app::Visitor;
use nodeai_auth::link_token::{LinkToken, Shows};
use nodeai_http::Problem;
use nodeai_http::reply::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a link shows.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Linked {
    /// Id of the workflow.
    id: String,
    /// Name.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// Current version.
    version: i64,
    /// The document.
    definition: Value,
}

#[derive(Deserialize)]
struct Opened {
    workflow: Option<Linked>,
}

/// Shows the workflow to whoever has the link; no sign-in.
pub async fn handle(visitor: Visitor) -> Result<Json<Linked>, Problem> {
    let missing = || Problem::not_found("there is no such link, or it is over");
    let token = visitor.cx.parameter("token").unwrap_or_default();
    let token = LinkToken::parse(Shows::Workflow, token).ok_or_else(missing)?;
    let args = json!({"token_hash": token.hash()});
    let opened: Opened = visitor.call("share_open", args).await?;
    opened.workflow.map(Json::ok).ok_or_else(missing)
}
