//! Each file one thing that dies or is misconfigured.

mod database_gone;
mod misconfigured;
mod power_cut;
mod rls_alone;
mod side_by_side;

use serde_json::{Value, json};

/// Input → model at the stand-in → template → output.
pub fn definition(llm: &str) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "ask", "type": "llm", "data": {"model": "openai/gpt-4o-mini", "prompt": "{{ inputs.q }}",
                "base_url": llm, "api_key": "sk-test"}},
            {"id": "fmt", "type": "template", "data": {"template": "<{{ nodes.ask.output.text }}>"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.fmt.output.text }}"}},
        ],
        "edges": [
            {"id": "a", "source": "in", "target": "ask"},
            {"id": "b", "source": "ask", "target": "fmt"},
            {"id": "c", "source": "fmt", "target": "out"},
        ],
    })
}
