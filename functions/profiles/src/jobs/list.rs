//! `GET /api/v1/profiles/me/jobs`

use super::Job;
use crate::Own;
use nodeai_app::Caller;
use nodeai_http::Problem;
use nodeai_http::reply::Json;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

/// All jobs that there is a record of.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Jobs {
    /// Newest first.
    data: Vec<Job>,
}

/// Lists them; does not move them on.
pub async fn handle(caller: Caller<Own>) -> Result<Json<Jobs>, Problem> {
    let data = caller.call("profile_jobs", &json!({})).await?;
    Ok(Json::ok(Jobs { data }))
}
