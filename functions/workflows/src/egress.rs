//! `POST /api/v1/workflows/{id}/versions/{number}/egress`

use crate::WorkflowsWrite;
use crate::at::{At, Version};
use crate::document::Egress;
use crate::path::Number;
use nodeai_app::{Caller, Command, PathId, Reply, Valid};
use nodeai_engine::{covers, host_rule};
use nodeai_http::{Check, Checker, FieldError, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Most hosts of a list.
const MOST_HOSTS: usize = 100;

/// The hosts that a version may reach.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// At most 100: `api.example.com`, `*.example.com`, `127.0.0.1:8080`, or `*` for any. All that its nodes name must be
    /// among them; hosts that are known only in a run are added here.
    hosts: Vec<String>,
}

impl Check for Confirmation {
    fn check(&self, c: &mut Checker) {
        let few = self.hosts.len() <= MOST_HOSTS;
        c.require(few, "/hosts", "too_many", "at most 100 hosts");
        for (i, host) in self.hosts.iter().enumerate().take(MOST_HOSTS) {
            let detail = "expected a host such as api.example.com, *.example.com or 127.0.0.1:8080; * allows every host";
            let holds = host_rule(&json!(host)).is_some();
            c.require(holds, &format!("/hosts/{i}"), "bad_host", detail);
        }
    }
}

/// Confirms the hosts of a version of an own workflow: they are a list as good as `settings.egress`, in every run of it.
pub async fn confirm(
    caller: Caller<WorkflowsWrite>,
    PathId(id): PathId,
    Number(number): Number,
    Valid(input): Valid<Confirmation>,
) -> Result<Reply<Egress>, Problem> {
    let found = At::read(&caller, &id, &[Some(number)]).await?;
    let egress = named(&caller, found.version(Some(number))?).await?;
    let rules = input.hosts.iter().map(|host| host_rule(&json!(host)));
    let rules: Vec<String> = rules.flatten().collect();
    require_covered(&egress.hosts, &rules)?;
    let args = json!({"id": id, "number": number, "hosts": rules, "egress": egress.stored()});
    let command = Command::named("confirm_egress", "workflow", &id, args)
        .audit("workflow.egress_confirmed", json!({"version": number}))
        .answer(200, &[], &json!({}));
    caller.write(command).await.map(Reply::from)
}

/// What the version names. Errors: 409 when its document has a list.
async fn named(caller: &Caller<WorkflowsWrite>, version: &Version) -> Result<Egress, Problem> {
    if !version.definition["settings"]["egress"].is_null() {
        return Err(Problem::conflict(
            "the document of this version has a list (settings.egress), which is its author's confirmation",
        ));
    }
    match &version.egress {
        Some(stored) => Ok(stored.clone()),
        None => Ok(Egress::asked(caller, &version.definition).await.0),
    }
}

/// Errors: 400 with all that is named and not confirmed.
fn require_covered(hosts: &[String], rules: &[String]) -> Result<(), Problem> {
    let missing = hosts
        .iter()
        .filter(|host| !rules.iter().any(|rule| covers(rule, host)));
    let told = |host: &String| {
        let detail = format!("the version names {host}, which is not among the hosts");
        FieldError::body("/hosts", "egress_undeclared", detail)
    };
    let missing: Vec<FieldError> = missing.map(told).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Problem::fields(missing)),
    }
}
