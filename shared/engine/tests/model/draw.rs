//! Draws documents: graphs with branches, joins, loops in loops, waits and calls of other
//! workflows. What a node computes is written twice: as a template for the engine, and under
//! `model`, which the engine does not look at, for the reference.

use std::collections::BTreeMap;

use nodeai_engine::WorkflowRef;
use serde_json::{Value, json};

use crate::dice::Dice;

const DEEPEST: usize = 3;

/// A workflow and those that it calls.
pub struct Drawn {
    pub document: Value,
    pub library: BTreeMap<WorkflowRef, Value>,
}

/// The id of a workflow of the library.
pub fn workflow_id(number: usize) -> String {
    format!("00000000-0000-7000-8000-00000000000{number}")
}

pub fn draw(dice: &mut Dice) -> Drawn {
    let callees = dice.roll(3);
    let mut library = BTreeMap::new();
    for number in 0..callees {
        let which = WorkflowRef {
            workflow_id: workflow_id(number),
            version: 1 + number as i64,
        };
        // Each may call those before it, and itself.
        let document = Drawing::new(dice, number + 1).document(2);
        library.insert(which, document);
    }
    let mut document = Drawing::new(dice, callees).document(7);
    if callees > 0 && dice.percent(30) {
        let number = dice.roll(callees);
        document["settings"] = json!({"error_workflow": {
            "workflow_id": workflow_id(number), "version": 1 + number,
        }});
    }
    Drawn { document, library }
}

struct Drawing<'a> {
    dice: &'a mut Dice,
    callees: usize,
    nodes: Vec<Value>,
    edges: Vec<Value>,
}

/// Where nodes are drawn.
#[derive(Clone, Default)]
struct Around {
    parent: Option<String>,
    /// `item`, `batch` or `previous`.
    item: Option<&'static str>,
    /// Nodes outside that may be referred to: places in `nodes`.
    outer: Vec<usize>,
    depth: usize,
}

impl<'a> Drawing<'a> {
    fn new(dice: &'a mut Dice, callees: usize) -> Self {
        Self {
            dice,
            callees,
            nodes: Vec::new(),
            edges: Vec::new(),
        }
    }

    fn document(mut self, most: usize) -> Value {
        self.nodes
            .push(json!({"id": "n0", "type": "input", "data": {}}));
        let around = Around::default();
        let mut siblings = vec![0];
        for _ in 0..1 + self.dice.roll(most) {
            let made = self.node(&around, &siblings, None);
            siblings.push(made);
        }
        for end in 0..1 + self.dice.roll(2) {
            let at = self.nodes.len();
            let id = format!("n{at}");
            self.nodes.push(json!({"id": id, "type": "output"}));
            let sources = self.sources(at, &siblings, 1);
            let (expression, model) = self.term(&around, &sources);
            let name = if end == 0 { "out" } else { "out2" };
            self.nodes[at]["data"] =
                json!({"value": format!("{{{{ {expression} }}}}"), "name": name});
            self.nodes[at]["model"] = model;
        }
        json!({"nodes": self.nodes, "edges": self.edges})
    }

    /// Draws a node after its siblings and gives its place.
    fn node(&mut self, around: &Around, siblings: &[usize], only: Option<&str>) -> usize {
        let at = self.nodes.len();
        let loops = around.depth < DEEPEST;
        let kind = only.unwrap_or(match self.dice.roll(20) {
            0..3 => "condition",
            3 | 4 => "switch",
            5..8 => "merge",
            8 | 9 => "wait",
            10..13 if loops => "for_each",
            13 if loops => "while",
            14 | 15 if self.callees > 0 => "workflow",
            _ => "transform",
        });
        self.nodes
            .push(json!({"id": format!("n{at}"), "type": kind}));
        if let Some(parent) = &around.parent {
            self.nodes[at]["parentId"] = parent.as_str().into();
        }
        let least = usize::from(around.parent.is_none());
        let sources = self.sources(at, siblings, least);
        let (expression, model) = self.term(around, &sources);
        self.nodes[at]["model"] = model;
        let data = self.data(at, kind, &expression);
        self.nodes[at]["data"] = data;
        self.settings(at, kind, &expression);
        if kind == "for_each" || kind == "while" {
            self.body(at, kind, around, &sources);
        }
        at
    }

    fn body(&mut self, at: usize, kind: &str, around: &Around, sources: &[usize]) {
        let batch = self.nodes[at]["data"]["batch_size"].is_number();
        let mut outer = around.outer.clone();
        outer.extend(sources);
        let inside = Around {
            parent: Some(format!("n{at}")),
            item: Some(match kind {
                "while" => "previous",
                _ if batch => "batch",
                _ => "item",
            }),
            outer,
            depth: around.depth + 1,
        };
        let first = self.node(&inside, &[], Some("transform"));
        let mut siblings = vec![first];
        for _ in 0..self.dice.roll(3) {
            let made = self.node(&inside, &siblings, None);
            siblings.push(made);
        }
        let result = siblings[self.dice.roll(siblings.len())];
        self.nodes[at]["data"]["result"] = format!("n{result}").into();
    }

    fn data(&mut self, at: usize, kind: &str, term: &str) -> Value {
        match kind {
            "condition" => json!({"expression": format!("({term}) % 2 == 0")}),
            "switch" => json!({"value": format!("{{{{ ({term}) % 3 }}}}"), "cases": [
                {"name": "a", "equals": 0}, {"name": "b", "when": format!("({term}) % 3 == 1")},
            ]}),
            "merge" => {
                let edges = self
                    .edges
                    .iter()
                    .filter(|edge| edge["target"] == format!("n{at}"))
                    .count();
                match self.dice.roll(3) {
                    0 => json!({"join": "any"}),
                    1 if edges > 0 => json!({"join": 1 + self.dice.roll(edges)}),
                    _ => json!({"join": "all"}),
                }
            }
            "wait" => match self.dice.roll(3) {
                0 => json!({"duration_ms": self.dice.roll(50)}),
                1 => json!({"until": self.dice.roll(2)}),
                _ if self.dice.percent(50) => json!({"approval": {"title": "?"}, "expires_ms": 20}),
                _ => json!({"approval": {"title": "?"}}),
            },
            "for_each" => {
                let items: Vec<Value> = (0..self.dice.roll(4))
                    .map(|_| match self.dice.percent(50) {
                        true => self.dice.roll(100).into(),
                        false => format!("{{{{ {term} }}}}").into(),
                    })
                    .collect();
                let modes = ["fail", "fail", "continue", "drop"];
                let mut data = json!({
                    "items": items, "concurrency": 1 + self.dice.roll(3),
                    "on_item_error": modes[self.dice.roll(4)],
                });
                if self.dice.percent(30) {
                    data["batch_size"] = 2.into();
                }
                data
            }
            "while" => json!({
                "condition": format!("index < {} and not (previous is number and previous % 4 == 0)", self.dice.roll(5)),
                "max_iterations": 1 + self.dice.roll(4),
                "on_limit": if self.dice.percent(50) { "stop" } else { "fail" },
            }),
            "workflow" => {
                let number = self.dice.roll(self.callees);
                json!({"workflow_id": workflow_id(number), "version": 1 + number,
                    "inputs": {"x": format!("{{{{ {term} }}}}")}})
            }
            _ => json!({"expression": term}),
        }
    }

    fn settings(&mut self, at: usize, kind: &str, term: &str) {
        let retry_if = self.dice.percent(15);
        let attempts = 1 + self.dice.roll(3);
        let backoff = self.dice.roll(30);
        let continues = self.dice.percent(25);
        let skips = self.dice.percent(8) && kind != "merge";
        let pinned = self.dice.percent(4) && kind == "transform";
        let data = &mut self.nodes[at]["data"];
        data["retry"] = json!({"max_attempts": attempts, "backoff_ms": backoff});
        if retry_if {
            data["retry"]["retry_if"] = "error.kind == 'broken'".into();
        }
        if continues {
            data["on_error"] = "continue".into();
        }
        if skips {
            data["skip_if"] = format!("({term}) % 3 == 0").into();
        }
        if pinned {
            data["pinned"] = json!({"output": 4});
        }
    }

    /// Draws edges to a node from some of those before it.
    fn sources(&mut self, at: usize, siblings: &[usize], least: usize) -> Vec<usize> {
        let count = if siblings.is_empty() {
            0
        } else {
            least + self.dice.roll(3)
        };
        let mut sources = Vec::new();
        for _ in 0..count {
            let source = siblings[self.dice.roll(siblings.len())];
            let edge = self.edge(source, at);
            self.edges.push(edge);
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    fn edge(&mut self, source: usize, target: usize) -> Value {
        let mut edge = json!({"source": format!("n{source}"), "target": format!("n{target}")});
        let node = &self.nodes[source];
        let kind = node["type"].as_str().unwrap_or_default().to_owned();
        let handles: &[&str] = match kind.as_str() {
            "condition" => &["true", "false"],
            "switch" => &["a", "b", "default"],
            "wait" if node["data"].get("approval").is_some() => {
                &["approved", "rejected", "timeout"]
            }
            _ => &["output"],
        };
        let mut handle = handles[self.dice.roll(handles.len())];
        if kind != "input" && self.dice.percent(15) {
            self.nodes[source]["data"]["on_error"] = "error_edge".into();
            handle = "error";
        }
        edge["sourceHandle"] = handle.into();
        edge
    }

    /// An expression over what came before, and the same for the reference.
    fn term(&mut self, around: &Around, sources: &[usize]) -> (String, Value) {
        let mut seen: Vec<usize> = sources.to_vec();
        if !around.outer.is_empty() && self.dice.percent(50) {
            seen.push(around.outer[self.dice.roll(around.outer.len())]);
        }
        let salt = self.dice.roll(1_000);
        let mut text = format!("({salt}");
        let mut refs = Vec::new();
        for (i, source) in seen.into_iter().enumerate() {
            let kind = self.nodes[source]["type"].as_str().unwrap_or_default();
            refs.push(json!([format!("n{source}"), kind]));
            text += &format!(" + {} * {}", i + 2, seen_as(source, kind));
        }
        text += match around.item {
            Some("item") => " + item + index",
            Some("batch") => " + item | sum + index",
            Some(_) => " + (previous if previous is number else 7) + index",
            None => " + inputs.x | default(5)",
        };
        text += ") % 10007";
        (
            text,
            json!({"salt": salt, "refs": refs, "item": around.item}),
        )
    }
}

/// A node's output as a number; 7 where it has none of its usual kind.
fn seen_as(source: usize, kind: &str) -> String {
    let output = format!("nodes.n{source}.output");
    match kind {
        "for_each" => format!("({output} | select('number') | sum if {output} is sequence else 7)"),
        "while" => format!(
            "({output}.iterations if {output} is mapping and 'iterations' in {output} else 7)"
        ),
        "workflow" => format!("({output}.out if {output} is mapping and 'out' in {output} else 7)"),
        _ => format!("({output} if {output} is number else 7)"),
    }
}
