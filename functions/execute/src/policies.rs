//! `/api/v1/workflows/execute/policies`

use crate::{WorkflowsAdmin, WorkflowsRead};
use nodeai_app::{Caller, Command, Reply, Valid};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Deepest that a policy lets workflows call workflows.
const DEEPEST: i64 = 50;

/// What an organisation lets its runs do.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Policies {
    /// What a version without a list of hosts may reach: `any` public host, those that it names (`inferred`), or nothing: it
    /// does not start until its hosts are `confirmed`.
    egress: Rule,
    /// How deep workflows may call workflows, inside of a run and as tools of each other; null for 10 and 5.
    max_depth: Option<i64>,
}

/// What a version without a list of hosts may reach.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Any public host.
    Any,
    /// The hosts that it names.
    Inferred,
    /// Nothing, until its hosts are confirmed.
    Confirmed,
}

/// What they are to be let do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoliciesInput {
    /// `any`, `inferred` or `confirmed`.
    egress: Rule,
    /// 1 to 50; null for 10 inside of a run, and 5 as tools of each other.
    #[serde(default)]
    max_depth: Option<i64>,
}

impl Check for PoliciesInput {
    fn check(&self, c: &mut Checker) {
        let holds = self.max_depth.is_none_or(|n| (1..=DEEPEST).contains(&n));
        c.require(holds, "/max_depth", "out_of_range", "1 to 50, or null");
    }
}

/// What holds for the caller's organisation.
pub async fn get(caller: Caller<WorkflowsRead>) -> Result<Json<Policies>, Problem> {
    let args = json!({"org_id": caller.org_id()});
    let found: Option<Policies> = caller.call("run_policies", &args).await?;
    found
        .map(Json::ok)
        .ok_or_else(|| Problem::not_found("there is no such organisation"))
}

/// Sets them, for every run that starts from then on.
pub async fn put(
    caller: Caller<WorkflowsAdmin>,
    Valid(input): Valid<PoliciesInput>,
) -> Result<Reply<Policies>, Problem> {
    let org = caller.org_id().to_owned();
    let args = json!({"egress": input.egress, "max_depth": input.max_depth});
    let command = Command::named("run_policies", "organisation", &org, args)
        .audit("organization.run_policies_set", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
