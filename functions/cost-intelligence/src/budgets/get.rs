//! `GET /api/v1/cost-intelligence/budgets/{id}`

use super::model::Budget;
use crate::BudgetsRead;
use http::header;
use nodeai_app::{Caller, PathId};
use nodeai_http::reply::Json;
use nodeai_http::{Problem, etag};
use serde_json::json;

/// One budget, as it stands now.
pub async fn handle(
    caller: Caller<BudgetsRead>,
    PathId(id): PathId,
) -> Result<Json<Budget>, Problem> {
    let args = json!({"org_id": caller.org_id(), "id": id, "limit": 1});
    let mut found: Vec<Budget> = caller.call("budgets_list", &args).await?;
    let budget = found.pop();
    let budget = budget.ok_or_else(|| Problem::not_found("there is no such budget"))?;
    let tag = etag::of(budget.version);
    Ok(Json::ok(budget).header(header::ETAG, tag))
}
