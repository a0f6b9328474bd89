//! `DELETE /api/v1/oauth/connections/{id}`

use crate::OauthWrite;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId, Query};
use nodeai_http::Problem;
use nodeai_oauth::{Connections, Fault};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// How.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    /// Disconnect even if the provider cannot be told; the grant may live on there.
    #[serde(default)]
    force: bool,
}

/// Takes the tokens back at the provider, then removes them here.
pub async fn handle(
    caller: Caller<OauthWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Query(query): Query<RemoveQuery>,
) -> Result<Done, Problem> {
    let revoked = match revoke(&caller, &id, expected).await {
        Ok(revoked) => revoked,
        Err(fault) if query.force && !is_ours(&fault) => false,
        Err(fault) => return Err(fault.into()),
    };
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("connection_remove", "connection", &id, args)
        .audit("connection.disconnected", json!({"revoked": revoked}));
    caller.write(command).await.map(Done::from)
}

/// What no force overrides: no such connection, another's, another version.
fn is_ours(fault: &Fault) -> bool {
    matches!(fault, Fault::Problem(problem) if [403, 404, 412].contains(&problem.status))
}

async fn revoke(
    caller: &Caller<OauthWrite>,
    id: &str,
    expected: Option<i64>,
) -> Result<bool, Fault> {
    let vault = Connections {
        cx: caller.cx.clone(),
        session: caller.session.clone(),
        execution_id: None,
        environment: None,
    };
    let opened = vault.open(id, "revoke", None).await?;
    if !opened.connection.own {
        return Err(Problem::forbidden("only its owner disconnects a connection").into());
    }
    if expected.is_some_and(|version| version != opened.connection.version) {
        return Err(Problem::stale("the connection has changed").into());
    }
    let tokens = opened.tokens(&caller.cx)?;
    let secret = vault.client_secret(&opened.provider).await?;
    caller.session.release();
    let provider = &opened.provider;
    provider
        .revoke(&caller.cx, secret.as_deref(), &tokens)
        .await
}
