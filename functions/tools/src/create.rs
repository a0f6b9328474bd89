//! `POST /api/v1/tools`

use crate::ToolsWrite;
use crate::kinds::ToolInput;
use crate::model::{SHOWN, Tool, tools as col};
use nodeai_app::{Caller, Created, Op, Valid, Write, clock};
use nodeai_http::Problem;
use serde_json::json;

/// Registers a tool. An OpenAPI document by URL is fetched now; MCP servers are asked when their functions are.
pub async fn handle(
    caller: Caller<ToolsWrite>,
    Valid(input): Valid<ToolInput>,
) -> Result<Created<Tool>, Problem> {
    let kind = input.kind.as_str();
    let mut row = json!(input.row(&caller).await?);
    row["kind"] = json!(kind);
    let id = clock::new_id();
    let location = format!("/api/v1/tools/{id}");
    let write = Write::new(Op::Insert, col::TABLE, "tool", &id)
        .row(row)
        .returning(SHOWN)
        .audit("tool.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(write).await.map(Created::from)
}
