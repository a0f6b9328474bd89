//! Faults of a definition, as the engine finds them.

use nodeai_engine::Fault;
use nodeai_http::FieldError;
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
