//! `DELETE /api/v1/cost-intelligence/budgets/{id}`

use crate::BudgetsWrite;
use nodeai_app::{Caller, Done, IfMatch, Op, PathId, Write};
use nodeai_http::Problem;
use serde_json::json;

/// Removes the budget; it holds no call back any more. The audit log says what it was.
pub async fn handle(
    caller: Caller<BudgetsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<Done, Problem> {
    let write = Write::new(Op::Delete, "budgets", "budget", &id)
        .expect_version(expected)
        .audit("budget.deleted", json!({}));
    caller.write(write).await.map(Done::from)
}
