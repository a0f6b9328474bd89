//! `POST /api/v1/workflows/validate`

use crate::WorkflowsRead;
use crate::document::{Egress, faults_below};
use nodeai_app::{Caller, Valid};
use nodeai_http::{Check, Checker, FieldError, Problem, reply::Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A definition to check.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// `nodes` and `edges` in React Flow's shape.
    definition: Value,
}

impl Check for Candidate {
    fn check(&self, _: &mut Checker) {}
}

/// The verdict.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Verdict {
    /// Whether the definition can run.
    valid: bool,
    /// Every fault, with a JSON pointer into the request body.
    errors: Vec<Value>,
    /// What runs all the same, and its author should look at; in the same form.
    warnings: Vec<Value>,
    /// The hosts that its runs reach.
    egress: Egress,
}

/// Always 200: a definition with faults is a valid question.
pub async fn handle(
    _caller: Caller<WorkflowsRead>,
    Valid(candidate): Valid<Candidate>,
) -> Result<Json<Verdict>, Problem> {
    let egress = Egress::of(&candidate.definition);
    let errors = listed(faults_below("/definition", &candidate.definition));
    Ok(Json::ok(Verdict {
        valid: errors.is_empty(),
        errors,
        warnings: listed(egress.warnings_below("/definition")),
        egress,
    }))
}

fn listed(fields: Vec<FieldError>) -> Vec<Value> {
    let fields = fields.into_iter();
    fields
        .filter_map(|field| serde_json::to_value(field).ok())
        .collect()
}
