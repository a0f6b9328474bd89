//! The workflow document: React Flow's shape, read with a JSON pointer for every fault.
//! Fields that we do not know (viewport, styles) are kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::{Fault, Faults};

/// Most nodes of a document.
pub const MOST_NODES: usize = 10_000;
/// Most edges of a document.
pub const MOST_EDGES: usize = 50_000;
/// Deepest nesting of a document.
pub const DEEPEST: usize = 64;
/// Longest string of a document, in bytes.
pub const LONGEST_STRING: usize = 256 * 1024;
const LONGEST_ID: usize = 128;

/// A workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// What it does.
    pub nodes: Vec<Node>,
    /// In which order.
    pub edges: Vec<Edge>,
    /// Constants that templates see as `vars`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// What a front end keeps there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One node. Those of a loop's body say so by `parentId`, as React Flow's sub-flows do; edges
/// join nodes of the same body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in the document; letters, digits, `_` and `-`.
    pub id: String,
    /// A type of the catalogue.
    #[serde(rename = "type")]
    pub kind: String,
    /// The loop whose body it belongs to.
    #[serde(rename = "parentId", default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its config.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// Position, size, style and what else a front end keeps.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Where it starts.
    pub source: String,
    /// Which output of the source; none is the default one.
    #[serde(
        rename = "sourceHandle",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub source_handle: Option<String>,
    /// Where it ends.
    pub target: String,
    /// Which input of the target; none is the default one.
    #[serde(
        rename = "targetHandle",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub target_handle: Option<String>,
    /// Its id and what else a front end keeps.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Reads a document's shape; what the nodes mean is checked by [`crate::validate`].
///
/// # Errors
/// Every fault of shape and size. A document over the limits gets only that fault, so
/// that refusing it costs next to nothing.
pub(crate) fn read(json: &Value) -> Result<Definition, Vec<Fault>> {
    let mut faults = Faults::default();
    let Some(map) = json.as_object() else {
        faults.add("", "wrong_type", "expected an object with nodes and edges");
        return Err(faults.into_vec());
    };
    let nodes = list(map, "nodes", MOST_NODES, &mut faults);
    let edges = list(map, "edges", MOST_EDGES, &mut faults);
    check_size(json, &mut faults);
    if !faults.none() {
        return Err(faults.into_vec());
    }
    let mut definition = Definition::default();
    for (i, node) in nodes.iter().enumerate() {
        definition
            .nodes
            .extend(node_of(node, &format!("/nodes/{i}"), &mut faults));
    }
    for (i, edge) in edges.iter().enumerate() {
        definition
            .edges
            .extend(edge_of(edge, &format!("/edges/{i}"), &mut faults));
    }
    for (name, value) in map {
        match name.as_str() {
            "nodes" | "edges" => {}
            "vars" => match value.as_object() {
                Some(vars) => definition.vars.clone_from(vars),
                None => faults.add("/vars", "wrong_type", "expected an object"),
            },
            _ => drop(definition.extra.insert(name.clone(), value.clone())),
        }
    }
    faults.into_result(definition)
}

fn list<'a>(
    map: &'a Map<String, Value>,
    name: &str,
    most: usize,
    faults: &mut Faults,
) -> &'a [Value] {
    let at = format!("/{name}");
    match map.get(name) {
        Some(Value::Array(items)) if items.len() > most => {
            let message = format!("{} {name}; at most {most} are allowed", items.len());
            faults.add(at, "too_many", message);
            &[]
        }
        Some(Value::Array(items)) => items,
        Some(_) => {
            faults.add(at, "wrong_type", "expected a list");
            &[]
        }
        None => {
            faults.add(at, "required", format!("{name:?} is required"));
            &[]
        }
    }
}

/// Walks the document with a stack of its own: nesting cannot overflow ours.
fn check_size(json: &Value, faults: &mut Faults) {
    if !faults.none() {
        return;
    }
    let mut stack = vec![(json, 0)];
    while let Some((value, depth)) = stack.pop() {
        if depth > DEEPEST {
            return faults.add(
                "",
                "too_deep",
                format!("nested more than {DEEPEST} levels deep"),
            );
        }
        match value {
            Value::String(text) if text.len() > LONGEST_STRING => {
                let message = format!("a string is longer than {} KiB", LONGEST_STRING / 1024);
                return faults.add("", "too_long", message);
            }
            Value::Array(items) => stack.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(map) => stack.extend(map.values().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
}

fn node_of(json: &Value, at: &str, faults: &mut Faults) -> Option<Node> {
    let Some(map) = json.as_object() else {
        faults.add(at, "wrong_type", "expected an object");
        return None;
    };
    let id = text(map, "id", at, faults);
    let kind = text(map, "type", at, faults);
    let data = match map.get("data") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(data)) => data.clone(),
        Some(_) => {
            faults.add(format!("{at}/data"), "wrong_type", "expected an object");
            return None;
        }
    };
    let parent = optional_text(map, "parentId", at, faults);
    let (id, kind) = (id?, kind?);
    if !is_id(&id) {
        let message = format!("an id has 1 to {LONGEST_ID} letters, digits, _ or -");
        faults.add(format!("{at}/id"), "bad_id", message);
        return None;
    }
    Some(Node {
        id,
        kind,
        parent,
        data,
        extra: others(map, &["id", "type", "parentId", "data"]),
    })
}

fn edge_of(json: &Value, at: &str, faults: &mut Faults) -> Option<Edge> {
    let Some(map) = json.as_object() else {
        faults.add(at, "wrong_type", "expected an object");
        return None;
    };
    let source = text(map, "source", at, faults);
    let target = text(map, "target", at, faults);
    let mut handle = |name: &str| optional_text(map, name, at, faults);
    let (source_handle, target_handle) = (handle("sourceHandle"), handle("targetHandle"));
    Some(Edge {
        source: source?,
        source_handle,
        target: target?,
        target_handle,
        extra: others(map, &["source", "sourceHandle", "target", "targetHandle"]),
    })
}

fn text(map: &Map<String, Value>, name: &str, at: &str, faults: &mut Faults) -> Option<String> {
    let at = format!("{at}/{name}");
    match map.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            faults.add(at, "wrong_type", "expected a string");
            None
        }
        None => {
            faults.add(at, "required", format!("{name:?} is required"));
            None
        }
    }
}

fn optional_text(
    map: &Map<String, Value>,
    name: &str,
    at: &str,
    faults: &mut Faults,
) -> Option<String> {
    match map.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            faults.add(format!("{at}/{name}"), "wrong_type", "expected a string");
            None
        }
    }
}

fn others(map: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    let others = map
        .iter()
        .filter(|(name, _)| !known.contains(&name.as_str()));
    others
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(fits)
}
