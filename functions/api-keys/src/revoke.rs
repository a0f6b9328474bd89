//! `DELETE /api/v1/api-keys/{id}`

use crate::KeysWrite;
use crate::model::api_keys;
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Write, clock};
use nodeai_http::Problem;
use serde_json::json;

/// Revokes the key. No cache holds keys: the next request with it is refused, wherever it goes.
pub async fn handle(
    caller: Caller<KeysWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let now = clock::rfc3339(caller.cx.started_us);
    let write = Write::new(Op::Update, api_keys::TABLE, "API key", &id)
        .row(json!({"revoked_at": now}))
        .expect_version(expected)
        .audit("api_key.revoked", json!({}));
    caller.write(write).await.map(Done::from)
}
