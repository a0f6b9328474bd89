//! `POST /api/v1/webhooks/{id}/test`

use crate::WebhooksRun;
use crate::deliveries::Queued;
use nodeai_app::{Caller, Command, PathId, Reply, clock};
use nodeai_http::Problem;
use serde_json::json;

/// Sends an event of the type `test` to this webhook, whatever it subscribes to.
pub async fn handle(
    caller: Caller<WebhooksRun>,
    PathId(id): PathId,
) -> Result<Reply<Queued, 202>, Problem> {
    let delivery_id = clock::new_id();
    let location = format!("/api/v1/webhooks/deliveries/{delivery_id}");
    let args = json!({"id": id, "delivery_id": delivery_id});
    let command = Command::named("webhook_test", "webhook", &id, args)
        .audit("webhook.tested", json!({}))
        .answer(202, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Reply::from)
}
