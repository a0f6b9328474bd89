//! `POST /api/v1/workflows/validate`

use crate::WorkflowsRead;
use crate::document::{Egress, faults_below};
use nodeai_app::{Caller, Valid};
use nodeai_engine::Fault;
use nodeai_engine::custom::{self, Entry};
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
    caller: Caller<WorkflowsRead>,
    Valid(candidate): Valid<Candidate>,
) -> Result<Json<Verdict>, Problem> {
    let definition = &candidate.definition;
    let known = match nodeai_engine::customs_of(definition).is_empty() {
        true => Vec::new(),
        false => {
            caller.session.release();
            nodeai_custom::catalogue(&caller.cx).await
        }
    };
    let (egress, undeclared) = Egress::with(definition, &Entry::hosts_of(&known), "/definition");
    let mut errors = faults_below("/definition", definition);
    errors.extend(custom_faults(definition, &known));
    errors.extend(undeclared);
    let errors = listed(errors);
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

/// Faults of the configs of custom nodes, by what their components say; types of which there is none here.
fn custom_faults(definition: &Value, known: &[Entry]) -> Vec<FieldError> {
    let nodes = definition["nodes"].as_array().into_iter().flatten();
    let customs = nodes.enumerate().filter_map(|(i, node)| {
        let name = custom::name(node["type"].as_str()?)?;
        Some((i, name, node["data"].as_object()?))
    });
    let faults = customs.flat_map(|(i, name, data)| {
        let at = format!("/definition/nodes/{i}");
        let of_this = |entry: &&Entry| custom::name(&entry.spec.kind) == Some(name);
        match known.iter().find(of_this) {
            Some(entry) => custom::check(&entry.spec, data, &format!("{at}/data")),
            None => vec![Fault {
                pointer: format!("{at}/type"),
                code: "unknown_type".to_owned(),
                message: format!("there is no custom node {name:?} here"),
            }],
        }
    });
    let told = |fault: Fault| FieldError::body(fault.pointer, &fault.code, fault.message);
    faults.map(told).collect()
}
