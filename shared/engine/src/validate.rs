//! From a document to something that can run: every fault is found here, before anything
//! is stored or started.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::document::{self, Definition, Edge, Node};
use crate::fault::{Fault, Faults, token};
use crate::filters;
use crate::graph::{DEFAULT_HANDLE, Graph};
use crate::nodes::{self, COMMON, Kind, Role};
use crate::schema::{Checker, Templates as Mode};
use crate::settings::{OnError, Settings};
use crate::template::{References, Templates, is_template};

/// A node, ready to run.
pub(crate) struct Ready {
    pub(crate) kind: &'static Kind,
    pub(crate) settings: Settings,
    pub(crate) references: References,
    pub(crate) joins_any: bool,
}

/// A document that has been found valid, ready to run.
pub struct Compiled {
    pub(crate) definition: Definition,
    pub(crate) graph: Graph,
    pub(crate) nodes: Vec<Ready>,
    pub(crate) templates: Templates,
    hash: String,
}

/// Checks a document.
///
/// # Errors
/// Every fault, up to 100, each with its JSON pointer.
pub fn validate(document: &Value) -> Result<Definition, Vec<Fault>> {
    compile(document).map(|compiled| compiled.definition)
}

/// Checks a document and prepares it to run.
///
/// # Errors
/// As for [`validate`].
pub fn compile(document: &Value) -> Result<Compiled, Vec<Fault>> {
    let definition = document::read(document)?;
    let mut faults = Faults::default();
    let templates = Templates::new();
    check_ids(&definition, &mut faults);
    let ready: Vec<Option<Ready>> = definition
        .nodes
        .iter()
        .enumerate()
        .map(|(i, node)| read_node(node, &format!("/nodes/{i}"), &templates, &mut faults))
        .collect();
    let graph = Graph::of(&definition);
    check_edges(&definition, &graph, &ready, &mut faults);
    check_shape(&definition, &graph, &ready, &mut faults);
    if !faults.none() {
        return Err(faults.into_vec());
    }
    let hash = hash(&definition);
    let nodes = ready.into_iter().flatten().collect();
    Ok(Compiled {
        definition,
        graph,
        nodes,
        templates,
        hash,
    })
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Compiled({} nodes, {})", self.nodes.len(), self.hash)
    }
}

impl Compiled {
    /// The document.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// SHA-256, in hex, of what the document means: positions and other looks do not count.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The type of a node.
    pub fn kind_of(&self, node: &str) -> Option<&str> {
        let at = *self.graph.by_id.get(node)?;
        Some(&self.definition.nodes[at].kind)
    }

    /// The names of the secrets that a node's templates refer to, in order.
    pub fn secrets_of(&self, node: &str) -> Vec<String> {
        let at = self.graph.by_id.get(node);
        let names = at.map(|&at| &self.nodes[at].references.secrets);
        names.into_iter().flatten().cloned().collect()
    }

    /// Checks a run's inputs and fills in defaults.
    ///
    /// # Errors
    /// Every fault, with a pointer below `/inputs`.
    pub fn check_inputs(&self, inputs: Value) -> Result<Value, Vec<Fault>> {
        let mut faults = Faults::default();
        let mut map = match inputs {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => {
                faults.add("/inputs", "wrong_type", "expected an object");
                return Err(faults.into_vec());
            }
        };
        for node in self
            .definition
            .nodes
            .iter()
            .filter(|node| node.kind == "input")
        {
            nodes::check_inputs(&node.data, &mut map, &mut faults);
        }
        faults.into_result(Value::Object(map))
    }
}

fn check_ids(definition: &Definition, faults: &mut Faults) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (i, node) in definition.nodes.iter().enumerate() {
        if let Some(first) = seen.insert(&node.id, i) {
            let message = format!("{:?} is also the id of /nodes/{first}", node.id);
            faults.add(format!("/nodes/{i}/id"), "duplicate_id", message);
        }
    }
}

pub(crate) fn read_node(
    node: &Node,
    at: &str,
    templates: &Templates,
    faults: &mut Faults,
) -> Option<Ready> {
    let Some(kind) = nodes::kind(&node.kind) else {
        let known: Vec<&str> = nodes::kinds()
            .iter()
            .map(|kind| kind.spec.kind.as_str())
            .collect();
        let message = format!(
            "unknown node type {:?}; known are {}",
            node.kind,
            known.join(", ")
        );
        faults.add(format!("{at}/type"), "unknown_type", message);
        return None;
    };
    let at = format!("{at}/data");
    let schema = &kind.spec.config_schema;
    let data = Value::Object(node.data.clone());
    Checker {
        templates: Mode::Allowed,
        faults,
    }
    .check(schema, &data, &at);
    (kind.check)(&node.data, &at, faults);
    let settings = Settings::read(&node.data, &at, faults);
    let mut references = References::default();
    for (name, value) in node
        .data
        .iter()
        .filter(|(name, _)| !COMMON.contains(&name.as_str()))
    {
        let schema = &schema["properties"][name.as_str()];
        let at = format!("{at}/{}", token(name));
        if nodes::role(schema) == Role::Literal {
            Checker {
                templates: Mode::Plain,
                faults,
            }
            .check(schema, value, &at);
            continue;
        }
        let mut finder = Finder {
            templates,
            found: &mut references,
            names: nodes::names(schema),
            faults,
        };
        finder.look(value, nodes::role(schema), &at);
    }
    let joins_any = node.kind == "merge" && nodes::joins_any(&node.data);
    Some(Ready {
        kind,
        settings,
        references,
        joins_any,
    })
}

/// Compiles every template below a value. The document's depth is bounded.
struct Finder<'a> {
    templates: &'a Templates,
    found: &'a mut References,
    /// Names of this field alone.
    names: Vec<&'a str>,
    faults: &'a mut Faults,
}

impl Finder<'_> {
    fn look(&mut self, value: &Value, role: Role, at: &str) {
        match value {
            Value::String(text) => self.compile(text, role, at),
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.look(item, role, &format!("{at}/{i}"));
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    self.look(value, role, &format!("{at}/{}", token(name)));
                }
            }
            _ => {}
        }
    }

    fn compile(&mut self, text: &str, role: Role, at: &str) {
        let found = match role {
            // Not compiled: these stay as they are.
            Role::Literal => return,
            Role::Template if !is_template(text) => return,
            Role::Template => self.templates.check(text),
            Role::Expression => self.templates.check_expression(text),
        };
        match found {
            Ok(found) => {
                for name in filters::unknown(text, role == Role::Expression) {
                    self.faults
                        .add(at, "unknown_filter", format!("there is no filter {name:?}"));
                }
                let names = self.names.as_slice();
                for name in found
                    .unknown
                    .iter()
                    .filter(|n| !names.contains(&n.as_str()))
                {
                    let known = [names, &["inputs", "nodes", "vars", "secrets", "run"]].concat();
                    let message = format!("unknown name {name:?}; known are {}", known.join(", "));
                    self.faults.add(at, "unknown_name", message);
                }
                if found.computed.contains("secrets") {
                    let message = "name each secret: secrets.NAME";
                    self.faults.add(at, "computed_secret", message);
                }
                self.found.extend(found);
            }
            Err(error) => self.faults.add(at, "bad_expression", error.to_string()),
        }
    }
}

fn check_edges(
    definition: &Definition,
    graph: &Graph,
    ready: &[Option<Ready>],
    faults: &mut Faults,
) {
    for (i, edge) in definition.edges.iter().enumerate() {
        let at = format!("/edges/{i}");
        for (end, id) in [("source", &edge.source), ("target", &edge.target)] {
            if !graph.by_id.contains_key(id) {
                faults.add(
                    format!("{at}/{end}"),
                    "unknown_node",
                    format!("no node has the id {id:?}"),
                );
            }
        }
        let node = |id: &str| ready.get(*graph.by_id.get(id)?)?.as_ref();
        if let Some(source) = node(&edge.source) {
            check_source(edge, source, &at, faults);
        }
        if let Some(target) = node(&edge.target) {
            check_target(edge, target, &at, faults);
        }
    }
}

fn check_source(edge: &Edge, source: &Ready, at: &str, faults: &mut Faults) {
    let handle = edge.source_handle.as_deref().unwrap_or(DEFAULT_HANDLE);
    let has_error = source.settings.on_error == OnError::ErrorEdge;
    let handles = source
        .kind
        .spec
        .outputs
        .iter()
        .map(|port| port.name.as_str());
    let handles: Vec<&str> = handles
        .filter(|name| *name != "error" || has_error)
        .collect();
    let at = format!("{at}/sourceHandle");
    if source.kind.spec.outputs.is_empty() {
        let message = format!(
            "nothing can follow a node of type {}",
            source.kind.spec.kind
        );
        faults.add(at, "unknown_handle", message);
    } else if handle == "error" && !has_error {
        let message = "set on_error to error_edge on the source node to use this handle";
        faults.add(at, "unknown_handle", message);
    } else if !handles.contains(&handle) {
        let message = format!(
            "unknown handle {handle:?}; known are {}",
            handles.join(", ")
        );
        faults.add(at, "unknown_handle", message);
    }
}

fn check_target(edge: &Edge, target: &Ready, at: &str, faults: &mut Faults) {
    let at = format!("{at}/targetHandle");
    let inputs = &target.kind.spec.inputs;
    let handle = edge.target_handle.as_deref();
    if inputs.is_empty() {
        let message = format!(
            "nothing can come before a node of type {}",
            target.kind.spec.kind
        );
        faults.add(at, "unknown_handle", message);
    } else if let Some(handle) = handle.filter(|_| target.kind.spec.kind != "merge")
        && !inputs.iter().any(|port| port.name == handle)
    {
        let message = format!("unknown handle {handle:?}; leave it out or say input");
        faults.add(at, "unknown_handle", message);
    }
}

/// What only the graph as a whole shows.
fn check_shape(
    definition: &Definition,
    graph: &Graph,
    ready: &[Option<Ready>],
    faults: &mut Faults,
) {
    let of_kind = |kind: &str| -> Vec<usize> {
        let nodes = definition.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.kind == kind)
            .map(|(i, _)| i)
            .collect()
    };
    let inputs = of_kind("input");
    if inputs.is_empty() {
        faults.add(
            "/nodes",
            "missing_input",
            "a workflow needs a node of type input",
        );
    }
    let gives_back = |node: &Node| nodes::gives_back(&node.kind);
    if !definition.nodes.iter().any(gives_back) {
        faults.add(
            "/nodes",
            "missing_output",
            "a workflow needs a node of type output",
        );
    }
    check_error_edges(graph, ready, faults);
    // A broken edge or id would only make more faults of what hangs on it.
    if faults.any(&["unknown_node", "duplicate_id"]) {
        return;
    }
    let order = match graph.order() {
        Ok(order) => order,
        Err(cycle) => return report_cycle(graph, &cycle, faults),
    };
    let reachable = graph.reachable(&inputs);
    for (i, _) in reachable
        .iter()
        .enumerate()
        .filter(|(_, reached)| !**reached && !inputs.is_empty())
        .filter(|(i, _)| !nodes::is_remark(&definition.nodes[*i].kind))
    {
        let message = format!("{:?} cannot be reached from an input node", graph.ids[i]);
        faults.add(format!("/nodes/{i}"), "unreachable", message);
    }
    check_references(graph, &order, ready, faults);
}

fn check_error_edges(graph: &Graph, ready: &[Option<Ready>], faults: &mut Faults) {
    for (i, node) in ready.iter().enumerate() {
        let wants = node
            .as_ref()
            .is_some_and(|node| node.settings.on_error == OnError::ErrorEdge);
        let mut outgoing = graph.outgoing[i].iter();
        if wants && !outgoing.any(|&link| graph.links[link].handle == "error") {
            let message = "on_error is error_edge, but no edge has the sourceHandle error";
            faults.add(
                format!("/nodes/{i}/data/on_error"),
                "missing_error_edge",
                message,
            );
        }
    }
}

fn report_cycle(graph: &Graph, cycle: &[usize], faults: &mut Faults) {
    let shown: Vec<&str> = cycle
        .iter()
        .chain(cycle.first())
        .take(12)
        .map(|&i| graph.ids[i].as_str())
        .collect();
    let (last, first) = (cycle.last(), cycle.first());
    let closes =
        |link: &crate::graph::Link| Some(&link.source) == last && Some(&link.target) == first;
    let edge = graph.links.iter().position(closes);
    // Positions of links are those of edges, as no edge goes nowhere.
    let at = edge.map_or_else(|| "/edges".to_owned(), |edge| format!("/edges/{edge}"));
    faults.add(
        at,
        "cycle",
        format!("the edges form a cycle: {}", shown.join(" → ")),
    );
}

fn check_references(graph: &Graph, order: &[usize], ready: &[Option<Ready>], faults: &mut Faults) {
    let upstream = graph.ancestors(order);
    for (i, node) in ready.iter().enumerate() {
        for id in node.iter().flat_map(|node| &node.references.nodes) {
            let at = format!("/nodes/{i}/data");
            match graph.by_id.get(id) {
                None => {
                    let message = format!("nodes.{id} is used, but no node has the id {id:?}");
                    faults.add(at, "unknown_reference", message);
                }
                Some(&other) if !upstream[i].contains(other) => {
                    let message =
                        format!("nodes.{id} is used, but {id:?} does not run before this node");
                    faults.add(at, "not_upstream", message);
                }
                Some(_) => {}
            }
        }
    }
}

/// Hashes what a document means, with the keys of objects in order.
fn hash(definition: &Definition) -> String {
    let mut hasher = Sha256::new();
    for node in &definition.nodes {
        for part in [&node.id, &node.kind] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        hash_map(&node.data, &mut hasher);
    }
    for edge in &definition.edges {
        let handle = edge.source_handle.as_deref().unwrap_or(DEFAULT_HANDLE);
        for part in [edge.source.as_str(), handle, &edge.target] {
            hasher.update(part.as_bytes());
            hasher.update([1]);
        }
    }
    hash_map(&definition.vars, &mut hasher);
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn hash_map(map: &Map<String, Value>, hasher: &mut Sha256) {
    let mut names: Vec<&String> = map.keys().collect();
    names.sort();
    hasher.update(b"{");
    for name in names {
        hasher.update(name.as_bytes());
        hasher.update([2]);
        hash_value(&map[name], hasher);
    }
    hasher.update(b"}");
}

fn hash_value(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(map) => hash_map(map, hasher),
        Value::Array(items) => {
            hasher.update(b"[");
            items.iter().for_each(|item| hash_value(item, hasher));
            hasher.update(b"]");
        }
        scalar => {
            hasher.update(scalar.to_string().as_bytes());
            hasher.update([3]);
        }
    }
}
