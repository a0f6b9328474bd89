//! `DELETE /api/v1/webhooks/incoming/{id}`

use crate::WebhooksWrite;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Removes a webhook with its secrets and requests; runs that it has started stay.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command =
        Command::named("incoming_remove", "webhook", &id, args).audit("webhook.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}
