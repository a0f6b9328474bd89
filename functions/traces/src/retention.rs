//! `/api/v1/traces/retention`

use crate::{TracesAdmin, TracesRead};
use nodeai_app::{Caller, Command, Reply, Valid};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long the organisation's traces are kept.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retention {
    /// Whole UTC days before today.
    days: i64,
}

/// How long they are to be kept.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionInput {
    /// 1 to 3650.
    days: i64,
}

impl Check for RetentionInput {
    fn check(&self, c: &mut Checker) {
        let holds = (1..=3_650).contains(&self.days);
        c.require(holds, "/days", "out_of_range", "1 to 3650");
    }
}

/// What holds for the caller's organisation.
pub async fn get(caller: Caller<TracesRead>) -> Result<Json<Retention>, Problem> {
    let args = json!({"org_id": caller.org_id()});
    let found: Option<Retention> = caller.call("trace_retention", &args).await?;
    found
        .map(Json::ok)
        .ok_or_else(|| Problem::not_found("there is no such organisation"))
}

/// Sets it; what is past it goes with the next housekeeping, and logs of runs that have no time of their own go with it.
pub async fn put(
    caller: Caller<TracesAdmin>,
    Valid(input): Valid<RetentionInput>,
) -> Result<Reply<Retention>, Problem> {
    let org = caller.org_id().to_owned();
    let args = json!({"days": input.days});
    let command = Command::named("trace_retention", "organisation", &org, args)
        .audit("organization.trace_retention_set", json!({}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}
