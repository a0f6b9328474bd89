//! Each file one thing that dies or is misconfigured.

mod big_files;
mod both_halves;
mod custom_nodes;
mod database_gone;
mod delivery_soak;
mod exactly_once;
mod ingest;
mod knowledge_soak;
mod master_key;
mod misconfigured;
mod one_budget;
mod power_cut;
mod queue_soak;
mod receiver;
mod side_by_side;

use e2e::database;
use serde_json::{Value, json};

/// A database of its own: the server's port, the database's name, the owner's URL.
pub fn fresh_database() -> (u16, String, String) {
    let owner = migrations_tests::owner_config();
    let name = format!("r_{}", uuid::Uuid::new_v4().simple());
    let create = format!("CREATE DATABASE {name}");
    database::execute(&database::url(&owner, "postgres"), &create);
    let port = owner.get_ports().first().copied().unwrap_or(5432);
    (port, name.clone(), database::url(&owner, &name))
}

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
