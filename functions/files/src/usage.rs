//! `GET /api/v1/files/usage`

use crate::FilesRead;
use nodeai_app::Caller;
use nodeai_http::{Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is stored, and may be.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// Bytes that are stored, or held back for uploads that have not ended.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// Bytes that may be stored.
    pub limit: u64,
}

/// Usage and quotas.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Of the organisation.
    pub organization: Amount,
    /// Of the caller in it.
    pub user: Amount,
    /// What the operator lets the organisation's admins set at most, bytes.
    pub ceiling: u64,
}

/// What the organisation and the caller store.
pub async fn handle(caller: Caller<FilesRead>) -> Result<Json<Usage>, Problem> {
    let usage = caller
        .call("file_usage", &json!({"org_id": caller.org_id()}))
        .await?;
    Ok(Json::ok(usage))
}
