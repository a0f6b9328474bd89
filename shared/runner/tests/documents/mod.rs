//! Small workflows.

use crate::support::App;
use serde_json::{Value, json};

pub fn edge(source: &str, target: &str) -> Value {
    json!({"source": source, "target": target})
}

/// input → the node `n` → output of `{{ nodes.n.output }}`.
pub fn around(kind: &str, data: Value) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "n", "type": kind, "data": data},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
        ],
        "edges": [edge("in", "n"), edge("n", "out")],
    })
}

pub fn ask(app: &App, model: &str, more: Value) -> Value {
    let mut data =
        json!({"model": model, "base_url": app.standin.openai(), "prompt": "{{ inputs.q }}"});
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(more.clone());
    }
    around("llm", data)
}
