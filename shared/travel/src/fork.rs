//! A fork: another run of the same workflow, perhaps edited, that takes over what nodes gave that do not depend on where it
//! starts, and really runs the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use nodeai_engine::{AttemptResult, Definition, Event, Fault, Node, Reused, What};
use serde_json::{Map, Value};

use crate::changes::token;

/// Fields of a node's data that change nothing of what it does.
const REMARKS: [&str; 2] = ["label", "description"];

/// What a fork takes over.
#[derive(Debug, Clone, PartialEq)]
pub struct Forked {
    /// Where it starts: a node outside of loops.
    pub from: String,
    /// Results that are taken over, by node.
    pub reused: BTreeMap<String, Reused>,
    /// Nodes outside of loops that run, in the document's order; some of them may be skipped.
    pub runs: Vec<String>,
}

/// Plans a fork of the run that left this log, from a node that the log names. A node inside of a loop or a called workflow
/// stands for the outermost one around it. `outputs` are given in the place of what nodes would give.
///
/// What runs: the node itself, what was edited, what never finished, and everything that comes after any of these.
///
/// # Errors
/// Nodes that are not there, with pointers into `{from, outputs}`.
pub fn fork(
    recorded: &Definition,
    edited: &Definition,
    log: &[Event],
    from: &str,
    outputs: &Map<String, Value>,
) -> Result<Forked, Vec<Fault>> {
    let document = Document::new(edited);
    let mut faults = Vec::new();
    let start = document.outermost(from);
    if start.is_none() {
        let message = match from.starts_with('@') {
            true => "a run is not forked inside of its error workflow".to_owned(),
            false => format!("the workflow has no node {from:?}"),
        };
        faults.push(fault("/from".to_owned(), message));
    }
    for node in outputs.keys() {
        let inner = document.outermost(node).is_none_or(|root| root != node);
        if inner {
            let message = format!("the workflow has no node {node:?} outside of its loops");
            faults.push(fault(format!("/outputs/{}", token(node)), message));
        }
    }
    let Some(start) = start.filter(|_| faults.is_empty()) else {
        return Err(faults);
    };
    let finished = finished(log);
    let mut first: BTreeSet<&str> = document.touched(&Document::new(recorded));
    first.insert(start);
    for node in outputs.keys() {
        first.extend(document.after(node));
    }
    let behind = document.closure(first);
    let mut reused: BTreeMap<String, Reused> = BTreeMap::new();
    for (node, result) in &finished {
        if document.roots.contains(node.as_str()) && !behind.contains(node.as_str()) {
            reused.insert(node.clone(), result.clone());
        }
    }
    for (node, output) in outputs {
        let handle = finished.get(node).map(|result| result.handle.clone());
        let given = Reused {
            output: output.clone(),
            handle: handle.unwrap_or_else(|| "output".to_owned()),
        };
        reused.insert(node.clone(), given);
    }
    let roots = edited.nodes.iter().filter(|node| node.parent.is_none());
    let runs = roots.map(|node| node.id.clone());
    let runs = runs.filter(|node| !reused.contains_key(node));
    Ok(Forked {
        from: start.to_owned(),
        runs: runs.collect(),
        reused,
    })
}

fn fault(pointer: String, message: String) -> Fault {
    Fault {
        pointer,
        code: "unknown_node".to_owned(),
        message,
    }
}

/// What nodes outside of loops gave, by node.
fn finished(log: &[Event]) -> BTreeMap<String, Reused> {
    let mut given: HashMap<&str, &Value> = HashMap::new();
    let mut finished = BTreeMap::new();
    for event in log {
        match &event.what {
            What::AttemptFinished {
                node,
                result: AttemptResult::Ok { output, .. },
                ..
            } if !node.contains('/') => {
                given.insert(node, output);
            }
            What::NodeFinished {
                node,
                handle,
                output,
            } if !node.contains('/') => {
                let output = output.as_ref().or(given.get(node.as_str()).copied());
                let result = Reused {
                    output: output.cloned().unwrap_or_default(),
                    handle: handle.clone(),
                };
                finished.insert(node.clone(), result);
            }
            _ => {}
        }
    }
    finished
}

/// A document as a graph of the nodes that are in no loop.
struct Document<'a> {
    definition: &'a Definition,
    nodes: HashMap<&'a str, &'a Node>,
    roots: BTreeSet<&'a str>,
    outgoing: HashMap<&'a str, Vec<&'a str>>,
    /// What comes in over edges, by node: source and handle.
    incoming: HashMap<&'a str, BTreeSet<(&'a str, &'a str)>>,
}

impl<'a> Document<'a> {
    fn new(definition: &'a Definition) -> Self {
        let nodes = definition.nodes.iter();
        let roots = nodes.clone().filter(|node| node.parent.is_none());
        let mut outgoing: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut incoming: HashMap<&str, BTreeSet<(&str, &str)>> = HashMap::new();
        for edge in &definition.edges {
            let (source, target) = (edge.source.as_str(), edge.target.as_str());
            let handle = edge.source_handle.as_deref().unwrap_or("output");
            outgoing.entry(source).or_default().push(target);
            incoming.entry(target).or_default().insert((source, handle));
        }
        Self {
            definition,
            roots: roots.map(|node| node.id.as_str()).collect(),
            nodes: nodes.map(|node| (node.id.as_str(), node)).collect(),
            outgoing,
            incoming,
        }
    }

    /// The node in no loop that stands for a way, or for a node by its id alone.
    fn outermost(&self, way: &str) -> Option<&'a str> {
        let first = way.split('/').next().unwrap_or_default();
        let id = first.split('[').next().unwrap_or_default();
        let mut node = *self.nodes.get(id)?;
        // A valid document has no circle of parents; this one may be of any kind.
        for _ in 0..self.nodes.len() {
            let Some(parent) = &node.parent else {
                return Some(&node.id);
            };
            node = self.nodes.get(parent.as_str())?;
        }
        None
    }

    fn after(&self, node: &str) -> impl Iterator<Item = &'a str> + '_ {
        let after = self.outgoing.get(node).into_iter().flatten();
        after.copied()
    }

    /// These nodes and all that come after them.
    fn closure(&self, first: BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        let mut queue: VecDeque<&str> = first.iter().copied().collect();
        let mut found = first;
        while let Some(node) = queue.pop_front() {
            for after in self.after(node) {
                if found.insert(after) {
                    queue.push_back(after);
                }
            }
        }
        found
    }

    /// The outermost nodes of what is another than in `before`: a node's type, data or loop, and the edges that lead to it.
    fn touched(&self, before: &Document<'_>) -> BTreeSet<&'a str> {
        let mut touched = BTreeSet::new();
        for node in &self.definition.nodes {
            let id = node.id.as_str();
            let same = before
                .nodes
                .get(id)
                .is_some_and(|was| does_the_same(was, node))
                && before.incoming.get(id) == self.incoming.get(id);
            if !same {
                touched.extend(self.outermost(id));
            }
        }
        // A loop that has lost a node is another loop.
        let gone = before
            .nodes
            .values()
            .filter(|was| !self.nodes.contains_key(was.id.as_str()));
        for parent in gone.filter_map(|was| was.parent.as_deref()) {
            touched.extend(self.outermost(parent));
        }
        touched
    }
}

fn does_the_same(was: &Node, is: &Node) -> bool {
    let acts = |node: &Node| -> Map<String, Value> {
        let data = node.data.iter();
        let acts = data.filter(|(name, _)| !REMARKS.contains(&name.as_str()));
        acts.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    was.kind == is.kind && was.parent == is.parent && acts(was) == acts(is)
}

/// A document with other data of some nodes: a JSON merge patch (RFC 7396) for each.
///
/// # Errors
/// Nodes that are not there, with pointers below `/edits/node_data`.
pub fn edited(definition: &Value, data: &Map<String, Value>) -> Result<Value, Vec<Fault>> {
    let mut definition = definition.clone();
    let mut faults = Vec::new();
    for (id, patch) in data {
        let nodes = definition["nodes"].as_array_mut().into_iter().flatten();
        let node = nodes.into_iter().find(|node| node["id"] == id.as_str());
        match node.and_then(Value::as_object_mut) {
            Some(node) => {
                let data = node
                    .entry("data")
                    .or_insert_with(|| Value::Object(Map::new()));
                merge(data, patch);
            }
            None => {
                let message = format!("the workflow has no node {id:?}");
                faults.push(fault(format!("/edits/node_data/{}", token(id)), message));
            }
        }
    }
    match faults.is_empty() {
        true => Ok(definition),
        false => Err(faults),
    }
}

/// RFC 7396. A request's body is not nested deeply.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(members) = target.as_object_mut() else {
        return;
    };
    for (name, value) in patch {
        match value.is_null() {
            true => drop(members.shift_remove(name)),
            false => merge(members.entry(name.clone()).or_insert(Value::Null), value),
        }
    }
}
