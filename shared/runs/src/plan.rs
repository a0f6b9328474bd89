//! From a definition and inputs to something that can run, or the 4xx that says why not.

use nodeai_app::{Caller, Scope};
use nodeai_engine::{Compiled, Fault, Manifest, Policy, WorkflowRef, calls, compile_with};
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

impl Plan {
    /// Holds the run to its organisation's policy; `own` is what is stored of the hosts of the version that runs, none for a
    /// definition that is no version. Errors: 409 for a version whose hosts are not confirmed, and for calls that go deeper
    /// than the policy lets them.
    pub fn hold(&mut self, policy: &Policy, own: Option<Manifest>) -> Result<(), Problem> {
        let compiled = Arc::get_mut(&mut self.compiled)
            .ok_or_else(|| Problem::internal("what runs already is not held to a policy"))?;
        compiled.hold(policy, own).map_err(against_policy)
    }

    /// The same plan for a run that is an error workflow's: it has none itself.
    pub fn without_error_workflow(self) -> Self {
        let Self { compiled, inputs } = self;
        let compiled = match Arc::try_unwrap(compiled) {
            Ok(compiled) => Arc::new(compiled.without_error_workflow()),
            Err(shared) => shared,
        };
        Self { compiled, inputs }
    }
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
    let (library, manifests) = library(caller, definition).await?;
    let compiled = compile_with(definition, &library);
    Ok(compiled.map(|mut compiled| {
        for (which, manifest) in manifests {
            compiled.note(&which, manifest);
        }
        compiled
    }))
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
    #[serde(default)]
    egress: Manifest,
}

/// Documents by their versions, and what is stored of the hosts of each.
type Library = (BTreeMap<WorkflowRef, Value>, Vec<(WorkflowRef, Manifest)>);

/// The workflows that a definition calls, and those that they call; one statement for each level. What is not there
/// for the caller is left out: compiling says so.
async fn library<S: Scope>(caller: &Caller<S>, definition: &Value) -> Result<Library, Problem> {
    let mut library = BTreeMap::new();
    let mut manifests = Vec::new();
    let mut asked = BTreeSet::new();
    let mut wanted = calls(definition);
    loop {
        wanted.retain(|which| {
            Uuid::parse_str(&which.workflow_id).is_ok() && asked.insert(which.clone())
        });
        if wanted.is_empty() {
            return Ok((library, manifests));
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
            manifests.push((which.clone(), called.egress));
            library.insert(which, called.definition);
        }
    }
}

fn against_policy(faults: Vec<Fault>) -> Problem {
    let first = faults.first().map(|fault| fault.message.clone());
    let refused = problem(faults, "/definition");
    Problem::conflict(first.unwrap_or_default()).with_errors(refused.errors)
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
