//! `/api/v1/workflows/execute/retention`

use crate::{WorkflowsAdmin, WorkflowsRead};
use nodeai_app::{Caller, Command, Reply, Valid};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long the logs of runs that have ended are kept.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retention {
    /// As it was set; null for as long as traces.
    days: Option<i64>,
    /// What holds.
    in_force_days: i64,
}

/// How long they are to be kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionInput {
    /// 1 to 3650 days; null for as long as traces.
    days: Option<i64>,
}

impl Check for RetentionInput {
    fn check(&self, c: &mut Checker) {
        let holds = self.days.is_none_or(|days| (1..=3_650).contains(&days));
        c.require(holds, "/days", "out_of_range", "1 to 3650, or null");
    }
}

/// What holds for the caller's organisation.
pub async fn get(caller: Caller<WorkflowsRead>) -> Result<Json<Retention>, Problem> {
    let args = json!({"org_id": caller.org_id()});
    let found: Option<Retention> = caller.call("recording_retention", &args).await?;
    found
        .map(Json::ok)
        .ok_or_else(|| Problem::not_found("there is no such organisation"))
}

/// Sets it; what is past it goes with the next housekeeping. Replays and forks of such a run are a 410 from then on.
pub async fn put(
    caller: Caller<WorkflowsAdmin>,
    Valid(input): Valid<RetentionInput>,
) -> Result<Reply<Retention>, Problem> {
    let org = caller.org_id().to_owned();
    let args = json!({"days": input.days});
    let command = Command::named("recording_retention", "organisation", &org, args)
        .audit("organization.recording_retention_set", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
