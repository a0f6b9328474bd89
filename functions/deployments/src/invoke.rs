//! `POST /api/v1/deployments/{id}/invoke`

use crate::DeploymentsRun;
use crate::model::Environment;
use nodeai_app::{Caller, Query, Valid};
use nodeai_http::{Check, Checker, Problem};
use nodeai_runs::{Ask, BudgetInput, Mode, Reply, TraceInput, run};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Which of the deployments with this slug.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvokeQuery {
    /// `prod` unless given.
    environment: Option<Environment>,
}

/// What goes in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InvokeRequest {
    /// Values for the input nodes.
    #[serde(default)]
    inputs: Map<String, Value>,
    /// Server-sent events as the run goes instead of one answer at its end.
    #[serde(default)]
    stream: bool,
    /// Whose side of a canary this run is on, such as the id of your own user; the API key's (or the user's) own unless
    /// given. At most 200 characters.
    #[serde(default)]
    sticky_key: Option<String>,
    /// What the run may cost; the lower of this and the definition's `settings.budget` counts.
    #[serde(default)]
    budget: Option<BudgetInput>,
    /// By what its trace is found and counted.
    #[serde(default)]
    trace: Option<TraceInput>,
}

impl Check for InvokeRequest {
    fn check(&self, c: &mut Checker) {
        if let Some(key) = &self.sticky_key {
            c.length(key, 1, 200, "/sticky_key");
        }
        if let Some(budget) = &self.budget {
            budget.check(c);
        }
        if let Some(trace) = &self.trace {
            trace.check(c);
        }
    }
}

/// Runs the version that the caller gets.
pub async fn handle(
    caller: Caller<DeploymentsRun>,
    Query(query): Query<InvokeQuery>,
    Valid(request): Valid<InvokeRequest>,
) -> Result<Reply, Problem> {
    let slug = caller.cx.parameter("id").map(str::to_ascii_lowercase);
    let ask = Ask {
        function: "deployment_start",
        what: "deployment",
        target: json!({"deployment": slug, "environment": query.environment, "sticky_key": request.sticky_key}),
        ready: None,
        inputs: request.inputs,
        mode: if request.stream {
            Mode::Stream
        } else {
            Mode::Sync
        },
        budget: request.budget.map(BudgetInput::limit).unwrap_or_default(),
        labels: request.trace.map(TraceInput::labels).unwrap_or_default(),
        private: false,
    };
    run(caller, ask).await
}
