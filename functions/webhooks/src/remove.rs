//! `DELETE /api/v1/webhooks/{id}`

use crate::WebhooksWrite;
use nodeai_app::{Caller, Command, Done, IfMatch, PathId};
use nodeai_http::Problem;
use serde_json::json;

/// Removes a webhook, its key and its deliveries.
pub async fn handle(
    caller: Caller<WebhooksWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let args = json!({"id": id, "expect_version": expected});
    let command =
        Command::named("webhook_remove", "webhook", &id, args).audit("webhook.deleted", json!({}));
    caller.write(command).await.map(Done::from)
}
