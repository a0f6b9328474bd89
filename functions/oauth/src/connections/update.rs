//! `PATCH /api/v1/oauth/connections/{id}`

use crate::OauthWrite;
use crate::model::Connection;
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What may change; absent fields stay as they are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionPatch {
    /// Its name here, at most 200 characters; null for none.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    name: Option<Option<String>>,
    /// Whether the organisation's editors may use it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shared: Option<bool>,
}

impl Check for ConnectionPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(Some(name)) = &self.name {
            c.length(name, 1, 200, "/name");
        }
    }
}

/// Changes one's own connection.
pub async fn handle(
    caller: Caller<OauthWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<ConnectionPatch>,
) -> Result<Reply<Connection>, Problem> {
    let mut args = json!(patch);
    args["id"] = json!(id);
    args["expect_version"] = json!(expected);
    let command = Command::named("connection_update", "connection", &id, args)
        .audit("connection.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
