//! `PATCH /api/v1/cost-intelligence/budgets/{id}`

use super::model::{Budget, Unpriced, check_limits, pusd};
use crate::BudgetsWrite;
use nodeai_app::{Caller, Command, IfMatch, PathId, Reply, Valid};
use nodeai_http::input::present;
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What may change; absent fields stay as they are. One limit must be left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetPatch {
    /// 1 to 200 characters.
    #[serde(default)]
    name: Option<String>,
    /// Most micro-USD; null for no limit.
    #[serde(default, deserialize_with = "present")]
    limit_usd_micros: Option<Option<i64>>,
    /// Most tokens; null for no limit.
    #[serde(default, deserialize_with = "present")]
    limit_tokens: Option<Option<i64>>,
    /// What becomes of calls whose price is not known.
    #[serde(default)]
    unpriced: Option<Unpriced>,
}

impl Check for BudgetPatch {
    fn check(&self, c: &mut Checker) {
        if let Some(name) = &self.name {
            c.length(name, 1, 200, "/name");
        }
        let (usd, tokens) = (self.limit_usd_micros.flatten(), self.limit_tokens.flatten());
        check_limits(c, usd, tokens);
    }
}

impl BudgetPatch {
    /// The columns that change.
    fn row(self) -> Map<String, Value> {
        let pusd = self.limit_usd_micros.map(|limit| limit.map(pusd));
        let columns = [
            ("name", self.name.map(Value::from)),
            ("limit_pusd", pusd.map(|limit| json!(limit))),
            ("limit_tokens", self.limit_tokens.map(|limit| json!(limit))),
            ("unpriced", self.unpriced.map(|what| json!(what))),
        ];
        let given = columns.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// Changes the budget, from the next call on. What is spent stays spent, also above a lower limit.
pub async fn handle(
    caller: Caller<BudgetsWrite>,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    Valid(patch): Valid<BudgetPatch>,
) -> Result<Reply<Budget>, Problem> {
    let args = json!({"id": id, "expect_version": expected, "row": patch.row()});
    let command = Command::named("budget_update", "budget", &id, args)
        .audit("budget.updated", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
