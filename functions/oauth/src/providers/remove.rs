//! `DELETE /api/v1/oauth/providers/{id}`

use crate::OauthWrite;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Removes a provider at which no account is connected: the others could not be refreshed or revoked any more.
pub async fn handle(
    caller: Caller<OauthWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command = Command::named("oauth_provider_remove", "provider", &id, args)
        .audit("oauth_provider.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}
