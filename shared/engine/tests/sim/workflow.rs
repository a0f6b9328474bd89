//! Draws a workflow: a connected DAG with branches, joins, retries and error edges.

use serde_json::{Value, json};

use super::dice::Dice;

/// `wild` also draws what makes the result depend on timing: failing nodes and joins of any.
pub fn draw(dice: &mut Dice, wild: bool) -> Value {
    let inner = 1 + dice.roll(14);
    let mut nodes = vec![json!({"id": "n0", "type": "input", "data": {}})];
    let mut edges: Vec<Value> = Vec::new();
    for at in 1..=inner {
        nodes.push(node(dice, at, wild));
        for _ in 0..1 + dice.roll(3) {
            let source = dice.roll(at);
            edges.push(edge(dice, &nodes[source], source, at));
        }
    }
    for end in 0..1 + dice.roll(2) {
        let at = nodes.len();
        nodes.push(json!({"id": format!("n{at}"), "type": "output", "data": {"value": end}}));
        for _ in 0..1 + dice.roll(3) {
            let source = dice.roll(inner + 1);
            edges.push(edge(dice, &nodes[source], source, at));
        }
    }
    add_error_edges(dice, &nodes, &mut edges);
    json!({"nodes": nodes, "edges": edges})
}

fn node(dice: &mut Dice, at: usize, wild: bool) -> Value {
    let (kind, mut data) = match dice.roll(4) {
        0 => ("condition", json!({"expression": "true"})),
        1 => {
            let join = if wild && dice.percent(50) {
                "any"
            } else {
                "all"
            };
            ("merge", json!({"join": join}))
        }
        _ => ("transform", json!({"expression": "1"})),
    };
    if wild {
        let modes = ["fail", "continue", "error_edge", "error_edge"];
        data["on_error"] = modes[dice.roll(4)].into();
        data["retry"] = json!({"max_attempts": 1 + dice.roll(4), "backoff_ms": dice.roll(50), "jitter": dice.percent(50)});
    }
    json!({"id": format!("n{at}"), "type": kind, "data": data})
}

fn edge(dice: &mut Dice, source: &Value, from: usize, to: usize) -> Value {
    let mut edge = json!({"source": format!("n{from}"), "target": format!("n{to}")});
    let by_error = source["data"]["on_error"] == "error_edge" && dice.percent(30);
    if by_error {
        edge["sourceHandle"] = "error".into();
    } else if source["type"] == "condition" {
        edge["sourceHandle"] = if dice.percent(50) { "true" } else { "false" }.into();
    }
    edge
}

/// A node with `error_edge` needs one.
fn add_error_edges(dice: &mut Dice, nodes: &[Value], edges: &mut Vec<Value>) {
    for (at, node) in nodes.iter().enumerate() {
        let id = &node["id"];
        let wants = node["data"]["on_error"] == "error_edge";
        if wants
            && !edges
                .iter()
                .any(|e| e["source"] == *id && e["sourceHandle"] == "error")
        {
            let target = at + 1 + dice.roll(nodes.len() - at - 1);
            edges.push(
                json!({"source": id, "sourceHandle": "error", "target": format!("n{target}")}),
            );
        }
    }
}
