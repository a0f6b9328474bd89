//! `PUT /api/v1/files/quota`

use crate::FilesAdmin;
use crate::usage::Usage;
use nodeai_app::{Caller, Command, Reply, Valid};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Quotas; null, or absent, is the operator's.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Of the organisation, bytes.
    #[serde(default)]
    org_bytes: Option<u64>,
    /// Of each user in it, bytes.
    #[serde(default)]
    user_bytes: Option<u64>,
}

impl Check for Quota {
    fn check(&self, c: &mut Checker) {
        let given = [
            ("/org_bytes", self.org_bytes),
            ("/user_bytes", self.user_bytes),
        ];
        for (pointer, bytes) in given {
            let fits = bytes.is_none_or(|n| i64::try_from(n).is_ok());
            c.require(fits, pointer, "range", "is too large");
        }
    }
}

/// Sets both quotas. What is stored already stays, also when it is more.
pub async fn handle(
    caller: Caller<FilesAdmin>,
    Valid(quota): Valid<Quota>,
) -> Result<Reply<Usage>, Problem> {
    let org = caller.org_id().to_owned();
    let command = Command::named("file_quota_set", "file_quota", &org, json!(quota))
        .audit("file_quota.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
