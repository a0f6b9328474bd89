//! Faults of a definition, as the engine finds them.

use nodeai_engine::Fault;
use serde_json::Value;

/// All faults; none when the definition can run.
pub fn faults(definition: &Value) -> Vec<Fault> {
    nodeai_engine::validate(definition)
        .err()
        .unwrap_or_default()
}
