//! `GET /api/v1/workflows/folders`

use crate::WorkflowsRead;
use nodeai_app::Caller;
use nodeai_http::Problem;
use nodeai_http::reply::Json;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A folder.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Folder {
    /// Its name; null for the workflows that are in none.
    folder: Option<String>,
    /// How many workflows are in it, the archive left out.
    count: i64,
}

/// All folders.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Folders {
    /// By name.
    data: Vec<Folder>,
}

/// The folders that have something in them.
pub async fn handle(caller: Caller<WorkflowsRead>) -> Result<Json<Folders>, Problem> {
    let args = json!({"org_id": caller.org_id()});
    let data = caller.call("workflow_folders", &args).await?;
    Ok(Json::ok(Folders { data }))
}
