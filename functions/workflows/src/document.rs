//! Faults of a definition and the hosts that it reaches, as the engine finds them.

use nodeai_engine::Fault;
use nodeai_http::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All faults; none when the definition can run.
pub fn faults(definition: &Value) -> Vec<Fault> {
    nodeai_engine::validate(definition)
        .err()
        .unwrap_or_default()
}

/// All faults as wrong fields of a body that has the definition at `pointer`.
pub fn faults_below(pointer: &str, definition: &Value) -> Vec<FieldError> {
    let told = |fault: Fault| {
        let at = format!("{pointer}{}", fault.pointer);
        FieldError::body(at, &fault.code, fault.message)
    };
    faults(definition).into_iter().map(told).collect()
}

/// The hosts that runs of a definition reach.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Egress {
    /// The author's list (`settings.egress`): runs call nothing else. Null where there is none: they may call any host.
    pub declared: Option<Vec<String>>,
    /// Hosts that the nodes name, providers of models included.
    pub hosts: Vec<String>,
    /// JSON pointers into the definition, to fields whose host is known only when a run gets there.
    pub open: Vec<String>,
}

impl Egress {
    /// Of a definition.
    pub fn of(definition: &Value) -> Self {
        let found = nodeai_engine::egress(definition);
        Self {
            declared: found.declared,
            hosts: found.hosts,
            open: found.open,
        }
    }

    /// What an author should look at: without a list, fields that may lead a run anywhere.
    pub fn warnings_below(&self, pointer: &str) -> Vec<FieldError> {
        let open = self.open.iter().filter(|_| self.declared.is_none());
        let detail = "the host is known only when a run gets here, so it may be any; list the hosts in settings.egress";
        open.map(|at| FieldError::body(format!("{pointer}{at}"), "egress_open", detail))
            .collect()
    }
}
