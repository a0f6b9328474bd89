//! From a definition and inputs to something that can run, or the 4xx that says why not.

use nodeai_app::{Caller, Scope};
use nodeai_engine::{Compiled, Fault, WorkflowRef, calls, compile_with};
use nodeai_http::{FieldError, Problem};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Most workflows that one run may load beside its own.
const MOST_CALLED: usize = 50;

/// A compiled workflow and its checked inputs.
pub struct Plan {
    /// The workflow.
    pub compiled: Arc<Compiled>,
    /// Inputs with defaults filled in.
    pub inputs: Value,
}

/// Compiles `definition` with the workflows that it calls, and checks `inputs`. Errors: 400 with pointers into the
/// request; 503 when the store stays away.
pub async fn plan<S: Scope>(
    caller: &Caller<S>,
    definition: &Value,
    inputs: Map<String, Value>,
) -> Result<Plan, Problem> {
    let compiled = compiled(caller, definition).await?;
    let compiled = compiled.map_err(|faults| problem(faults, "/definition"))?;
    ready(compiled, inputs)
}

/// Compiles `definition` with the workflows that it calls; the faults are the document's. Errors: 400 when it calls too
/// many; 503 when the store stays away.
pub async fn compiled<S: Scope>(
    caller: &Caller<S>,
    definition: &Value,
) -> Result<Result<Compiled, Vec<Fault>>, Problem> {
    let library = library(caller, definition).await?;
    Ok(compile_with(definition, &library))
}

/// What is compiled, with inputs that fit it. Errors: 400 with pointers below `/inputs`.
pub fn ready(compiled: Compiled, inputs: Map<String, Value>) -> Result<Plan, Problem> {
    let inputs = compiled
        .check_inputs(Value::Object(inputs))
        .map_err(|faults| problem(faults, ""))?;
    Ok(Plan {
        compiled: Arc::new(compiled),
        inputs,
    })
}

#[derive(Deserialize)]
struct Called {
    workflow_id: String,
    version: i64,
    definition: Value,
}

/// The workflows that a definition calls, and those that they call; one statement for each level. What is not there
/// for the caller is left out: compiling says so.
async fn library<S: Scope>(
    caller: &Caller<S>,
    definition: &Value,
) -> Result<BTreeMap<WorkflowRef, Value>, Problem> {
    let mut library = BTreeMap::new();
    let mut asked = BTreeSet::new();
    let mut wanted = calls(definition);
    loop {
        wanted.retain(|which| {
            Uuid::parse_str(&which.workflow_id).is_ok() && asked.insert(which.clone())
        });
        if wanted.is_empty() {
            return Ok(library);
        }
        if asked.len() > MOST_CALLED {
            let message = format!(
                "more than {MOST_CALLED} workflows are called, those that they call included"
            );
            return Err(Problem::fields(vec![FieldError::body(
                "/definition",
                "too_many",
                message,
            )]));
        }
        let workflows: Vec<Value> = wanted
            .drain(..)
            .map(|which| json!({"workflow_id": which.workflow_id, "version": which.version}))
            .collect();
        let args = json!({"org_id": caller.org_id(), "workflows": workflows});
        let found: Vec<Called> = caller.call("run_library", &args).await?;
        for called in found {
            wanted.extend(calls(&called.definition));
            let which = WorkflowRef {
                workflow_id: called.workflow_id,
                version: called.version,
            };
            library.insert(which, called.definition);
        }
    }
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
