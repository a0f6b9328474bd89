//! `DELETE /api/v1/secrets/{id}`

use crate::SecretsWrite;
use crate::model::secrets_vault;
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Write};
use nodeai_http::Problem;
use serde_json::json;

/// Removes the secret and all its versions. The access log stays.
pub async fn handle(
    caller: Caller<SecretsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, secrets_vault::TABLE, "secret", &id)
        .expect_version(expected)
        .audit("secret.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
