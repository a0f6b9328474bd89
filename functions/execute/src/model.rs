//! What the API takes to run.

use nodeai_http::{Check, Checker, FieldError};
use nodeai_runs::BudgetInput;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What to run. Exactly one of `workflow_id` and `definition`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// A stored workflow (UUID).
    #[serde(default)]
    pub workflow_id: Option<String>,
    /// Its version; the current one unless given.
    #[serde(default)]
    pub version: Option<i64>,
    /// A definition that is not stored: `nodes` and `edges`.
    #[serde(default)]
    pub definition: Option<Value>,
    /// Values for the input nodes.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Server-sent events as the run goes instead of one answer at its end.
    #[serde(default)]
    pub stream: bool,
    /// What the run may cost; the lower of this and the definition's `settings.budget` counts.
    #[serde(default)]
    pub budget: Option<BudgetInput>,
}

impl Check for RunRequest {
    fn check(&self, c: &mut Checker) {
        let one = self.workflow_id.is_some() != self.definition.is_some();
        c.require(
            one,
            "/workflow_id",
            "one_of",
            "give either workflow_id or definition",
        );
        if let Some(id) = &self.workflow_id {
            let uuid = uuid::Uuid::parse_str(id).is_ok();
            c.require(uuid, "/workflow_id", "format", "must be a UUID");
        }
        let version = self
            .version
            .is_none_or(|v| v >= 1 && self.workflow_id.is_some());
        c.require(
            version,
            "/version",
            "range",
            "goes with workflow_id and starts at 1",
        );
        if let Some(budget) = &self.budget {
            budget.check(c);
        }
        if let Some(definition) = &self.definition {
            for fault in nodeai_engine::validate(definition)
                .err()
                .unwrap_or_default()
            {
                let pointer = format!("/definition{}", fault.pointer);
                c.report(FieldError::body(pointer, &fault.code, fault.message));
            }
        }
    }
}
