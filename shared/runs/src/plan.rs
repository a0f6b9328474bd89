//! From a definition and inputs to something that can run, or the 4xx that says why not.

use nodeai_engine::{Compiled, Fault, compile};
use nodeai_http::{FieldError, Problem};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A compiled workflow and its checked inputs.
pub struct Plan {
    /// The workflow.
    pub compiled: Arc<Compiled>,
    /// Inputs with defaults filled in.
    pub inputs: Value,
}

/// Compiles `definition` and checks `inputs`. Errors: 400 with pointers into the request.
pub fn plan(definition: &Value, inputs: Map<String, Value>) -> Result<Plan, Problem> {
    let compiled = compile(definition).map_err(|faults| problem(faults, "/definition"))?;
    let inputs = compiled
        .check_inputs(Value::Object(inputs))
        .map_err(|faults| problem(faults, ""))?;
    Ok(Plan {
        compiled: Arc::new(compiled),
        inputs,
    })
}

fn problem(faults: Vec<Fault>, prefix: &str) -> Problem {
    let field = |fault: Fault| {
        FieldError::body(
            format!("{prefix}{}", fault.pointer),
            &fault.code,
            fault.message,
        )
    };
    Problem::fields(faults.into_iter().map(field).collect())
}
