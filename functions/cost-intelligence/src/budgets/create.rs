//! `POST /api/v1/cost-intelligence/budgets`

use super::model::{Budget, Period, Subject, Unpriced, check_limits, pusd};
use crate::BudgetsWrite;
use nodeai_app::inputs::is_uuid;
use nodeai_app::{Caller, Command, Created, Valid, clock};
use nodeai_http::{Check, Checker, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A budget to be made: one for each subject and period.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetInput {
    /// 1 to 200 characters.
    name: String,
    /// Whose runs it limits.
    subject: Subject,
    /// Which user, key or workflow (UUID); not for the organisation.
    #[serde(default)]
    subject_id: Option<String>,
    /// How long the limit counts.
    period: Period,
    /// Most micro-USD; this or `limit_tokens`, or both.
    #[serde(default)]
    limit_usd_micros: Option<i64>,
    /// Most tokens, read and written.
    #[serde(default)]
    limit_tokens: Option<i64>,
    /// What becomes of calls whose price is not known: `refuse` unless given.
    #[serde(default)]
    unpriced: Unpriced,
}

impl Check for BudgetInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.name, 1, 200, "/name");
        let needs_id = self.subject != Subject::Organization;
        let detail = "give the id of the user, key or workflow; the organisation has none";
        let fits = self.subject_id.is_some() == needs_id;
        c.require(fits, "/subject_id", "required", detail);
        let uuid = self.subject_id.as_deref().is_none_or(is_uuid);
        c.require(uuid, "/subject_id", "format", "must be a UUID");
        let some = self.limit_usd_micros.is_some() || self.limit_tokens.is_some();
        let detail = "give limit_usd_micros or limit_tokens";
        c.require(some, "/limit_usd_micros", "required", detail);
        check_limits(c, self.limit_usd_micros, self.limit_tokens);
    }
}

/// Makes the budget; it counts what calls of runs that begin from now on cost.
pub async fn handle(
    caller: Caller<BudgetsWrite>,
    Valid(input): Valid<BudgetInput>,
) -> Result<Created<Budget>, Problem> {
    let id = clock::new_id();
    let args = json!({"id": id, "name": input.name, "subject": input.subject, "subject_id": input.subject_id,
        "period": input.period, "limit_pusd": input.limit_usd_micros.map(pusd), "limit_tokens": input.limit_tokens,
        "unpriced": input.unpriced});
    let location = format!("/api/v1/cost-intelligence/budgets/{id}");
    let command = Command::named("budget_create", "budget", &id, args)
        .audit("budget.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    caller.write(command).await.map(Created::from)
}
