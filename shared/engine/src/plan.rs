//! What runs: a valid document cut into bodies (the workflow's own, one per loop, and those of
//! the workflows that it calls), each with a graph of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::budget::RunBudget;
use crate::document::{Definition, Edge};
use crate::fault::{Fault, Faults};
use crate::graph::{DEFAULT_HANDLE, Graph};
use crate::log::{Reused, Status};
use crate::nodes::{self, Flow, Join, Kind, WorkflowRef};
use crate::policy::Manifest;
use crate::scope::Seen;
use crate::settings::Settings;
use crate::template::{References, Templates};

/// A node, ready to run.
pub(crate) struct Ready {
    pub(crate) kind: &'static Kind,
    pub(crate) settings: Settings,
    pub(crate) references: References,
    /// Names of loops that its templates use: `item`, `index`, `previous`, `loops`.
    pub(crate) local: BTreeSet<String>,
    pub(crate) flow: Flow,
    pub(crate) join: Join,
    /// Its place among the document's nodes.
    pub(crate) at: usize,
    /// The body that it runs.
    pub(crate) body: Option<usize>,
}

impl Ready {
    /// Whether it never runs.
    pub(crate) fn is_remark(&self) -> bool {
        nodes::is_remark(&self.kind.spec.kind)
    }
}

/// Nodes that run together: a workflow's own, or those of a loop.
pub(crate) struct Body {
    /// The document that they are of.
    pub(crate) doc: usize,
    pub(crate) graph: Graph,
    pub(crate) nodes: Vec<Ready>,
    /// Nodes that nothing comes before.
    pub(crate) first: Vec<usize>,
    /// Whose output is the result of an iteration: one, or some by id.
    pub(crate) result: Results,
}

/// What an iteration gives.
pub(crate) enum Results {
    One(usize),
    Some(Vec<usize>),
}

/// A document and the body of its nodes that are in no loop.
pub(crate) struct Doc {
    pub(crate) definition: Definition,
    pub(crate) vars: Seen,
    pub(crate) root: usize,
    /// The hosts that its nodes may call; none where it has no list.
    pub(crate) egress: Option<Vec<String>>,
    /// Whether nobody has listed them: they are what it names.
    pub(crate) inferred: bool,
    /// The version that it is, of a called one.
    pub(crate) which: Option<WorkflowRef>,
    /// What is stored of that version's hosts.
    pub(crate) manifest: Manifest,
}

/// A document that has been found valid, ready to run.
pub struct Compiled {
    pub(crate) docs: Vec<Doc>,
    pub(crate) bodies: Vec<Body>,
    pub(crate) templates: Templates,
    /// The body of the error workflow.
    pub(crate) on_failure: Option<usize>,
    pub(crate) max_concurrency: Option<u32>,
    record: Record,
    reused: BTreeMap<String, Reused>,
    pub(crate) budget: RunBudget,
    hash: String,
}

/// One document, checked by [`crate::validate`].
pub(crate) struct Checked {
    pub(crate) definition: Definition,
    pub(crate) nodes: Vec<Ready>,
    pub(crate) settings: RunSettings,
}

/// What a document says about its runs as a whole, under `settings`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunSettings {
    pub(crate) error_workflow: Option<WorkflowRef>,
    pub(crate) max_concurrency: Option<u32>,
    pub(crate) record: Record,
    pub(crate) budget: RunBudget,
    pub(crate) egress: Option<Vec<String>>,
}

/// Which runs keep their log, `settings.record` of a document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// All.
    #[default]
    All,
    /// Those that did not succeed.
    Failures,
    /// None.
    None,
}

impl Record {
    /// Whether a run that ended like this keeps its log.
    pub fn keeps(self, status: Status) -> bool {
        match self {
            Self::All => true,
            Self::Failures => status != Status::Succeeded,
            Self::None => false,
        }
    }
}

impl Compiled {
    /// Puts documents together, the one to run first; `known` says where those are that others
    /// call.
    pub(crate) fn new(
        checked: Vec<Checked>,
        known: &BTreeMap<WorkflowRef, usize>,
        templates: Templates,
    ) -> Self {
        let hash = hash_all(&checked, known);
        let settings = checked.first().map(|first| first.settings.clone());
        let settings = settings.unwrap_or_default();
        let mut plan = Self {
            docs: Vec::new(),
            bodies: Vec::new(),
            templates,
            on_failure: None,
            max_concurrency: settings.max_concurrency,
            record: settings.record,
            reused: BTreeMap::new(),
            budget: settings.budget,
            hash,
        };
        for (doc, one) in checked.into_iter().enumerate() {
            plan.add(doc, one);
        }
        for (which, &doc) in known {
            plan.docs[doc].which = Some(which.clone());
        }
        let roots: Vec<usize> = plan.docs.iter().map(|doc| doc.root).collect();
        let root_of = |which: &WorkflowRef| known.get(which).map(|&doc| roots[doc]);
        for node in plan.bodies.iter_mut().flat_map(|body| &mut body.nodes) {
            if let Flow::Call(which) = &node.flow {
                node.body = root_of(which);
            }
        }
        plan.on_failure = settings.error_workflow.as_ref().and_then(root_of);
        plan
    }

    fn add(&mut self, doc: usize, checked: Checked) {
        let root = self.bodies.len();
        let (definition, egress) = (checked.definition, checked.settings.egress);
        // The body of each loop, in the order of the loops; the root's comes first.
        let mut body_of: HashMap<Option<&str>, usize> = HashMap::from([(None, root)]);
        for node in &checked.nodes {
            if node.flow.has_body() {
                let id = definition.nodes[node.at].id.as_str();
                body_of.insert(Some(id), root + body_of.len());
            }
        }
        let mut edges: Vec<Vec<&Edge>> = vec![Vec::new(); body_of.len()];
        let mut members: Vec<Vec<Ready>> = body_of.iter().map(|_| Vec::new()).collect();
        let home = |at: usize| body_of[&definition.nodes[at].parent.as_deref()] - root;
        let place: HashMap<&str, usize> = definition
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (node.id.as_str(), at))
            .collect();
        for edge in &definition.edges {
            edges[home(place[edge.source.as_str()])].push(edge);
        }
        let mut results: Vec<Option<String>> = vec![None; body_of.len()];
        for mut node in checked.nodes {
            let id = Some(definition.nodes[node.at].id.as_str());
            if node.flow.has_body() {
                node.body = body_of.get(&id).copied();
                results[body_of[&id] - root] = node.flow.result().map(str::to_owned);
            }
            members[home(node.at)].push(node);
        }
        for ((nodes, edges), result) in members.into_iter().zip(edges).zip(results) {
            let ids = nodes
                .iter()
                .map(|node| definition.nodes[node.at].id.clone());
            let graph = Graph::new(ids.collect(), edges.into_iter());
            self.bodies
                .push(Body::new(doc, graph, nodes, result.as_deref()));
        }
        let vars = Seen::new(Value::Object(definition.vars.clone()));
        self.docs.push(Doc {
            definition,
            vars,
            root,
            egress,
            inferred: false,
            which: None,
            manifest: Manifest::default(),
        });
    }

    /// The same, with results of another run for nodes outside of loops: where such a node's turn comes, its result is
    /// taken in place of its work.
    pub fn reusing(self, reused: BTreeMap<String, Reused>) -> Self {
        Self { reused, ..self }
    }

    /// The same without its error workflow: the run is one itself.
    pub fn without_error_workflow(self) -> Self {
        Self {
            on_failure: None,
            ..self
        }
    }

    /// The results of another run that runs of this take.
    pub fn reused(&self) -> &BTreeMap<String, Reused> {
        &self.reused
    }

    /// Which of its runs keep their log.
    pub fn record(&self) -> Record {
        self.record
    }

    /// The document.
    pub fn definition(&self) -> &Definition {
        &self.docs[0].definition
    }

    /// The document without what was made of it.
    pub(crate) fn into_definition(mut self) -> Definition {
        self.docs.swap_remove(0).definition
    }

    /// SHA-256, in hex, of what the document and those that it calls mean: positions and other
    /// looks do not count.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The type of a node, by its id or its way into loops.
    pub fn kind_of(&self, node: &str) -> Option<&str> {
        let (body, node) = self.find(node)?;
        Some(self.kind(body, node))
    }

    /// The names of the secrets that a node's templates refer to, in order.
    pub fn secrets_of(&self, node: &str) -> Vec<String> {
        let names = self.ready(node).map(|node| &node.references.secrets);
        names.into_iter().flatten().cloned().collect()
    }

    /// Whether a node gives an address of a wait away.
    pub fn gives_addresses(&self) -> bool {
        let mut nodes = self.bodies.iter().flat_map(|body| &body.nodes);
        nodes.any(|node| !node.references.waits.is_empty())
    }

    fn ready(&self, node: &str) -> Option<&Ready> {
        let (body, node) = self.find(node)?;
        Some(&self.bodies[body].nodes[node])
    }

    /// A node's body and its place there, by its id or its way into loops.
    fn find(&self, node: &str) -> Option<(usize, usize)> {
        let (mut body, mut rest) = match node.strip_prefix(ON_FAILURE) {
            Some(rest) => (self.on_failure?, rest),
            None => (0, node),
        };
        while let Some((step, after)) = rest.split_once('/') {
            let (id, _) = read_step(step)?;
            let body_of = &self.bodies[body];
            body = body_of.nodes[*body_of.graph.by_id.get(id)?].body?;
            rest = after;
        }
        Some((body, *self.bodies[body].graph.by_id.get(rest)?))
    }

    /// A node's type, as its document has it.
    pub(crate) fn kind(&self, body: usize, node: usize) -> &str {
        let body = &self.bodies[body];
        &self.docs[body.doc].definition.nodes[body.nodes[node].at].kind
    }

    pub(crate) fn data(&self, body: usize, node: usize) -> &Map<String, Value> {
        let body = &self.bodies[body];
        &self.docs[body.doc].definition.nodes[body.nodes[node].at].data
    }

    /// The configs of the input nodes of a body.
    pub(crate) fn inputs_of(&self, body: usize) -> Vec<&Map<String, Value>> {
        let nodes = self.bodies[body].nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.kind.spec.kind == "input")
            .map(|(at, _)| self.data(body, at))
            .collect()
    }

    /// Checks a run's inputs and fills in defaults.
    ///
    /// # Errors
    /// Every fault, with a pointer below `/inputs`.
    pub fn check_inputs(&self, inputs: Value) -> Result<Value, Vec<Fault>> {
        let mut faults = Faults::default();
        let map = match inputs {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => {
                faults.add("/inputs", "wrong_type", "expected an object");
                return Err(faults.into_vec());
            }
        };
        self.check_inputs_of(0, map)
    }

    pub(crate) fn check_inputs_of(
        &self,
        body: usize,
        mut inputs: Map<String, Value>,
    ) -> Result<Value, Vec<Fault>> {
        let mut faults = Faults::default();
        for data in self.inputs_of(body) {
            nodes::check_inputs(data, &mut inputs, &mut faults);
        }
        faults.into_result(Value::Object(inputs))
    }
}

/// What the ways of the error workflow's nodes begin with.
pub(crate) const ON_FAILURE: &str = "@error/";

/// One step of a way: `each[2]`.
pub(crate) fn read_step(step: &str) -> Option<(&str, u32)> {
    let (id, index) = step.strip_suffix(']')?.split_once('[')?;
    Some((id, index.parse().ok()?))
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes: usize = self.bodies.iter().map(|body| body.nodes.len()).sum();
        write!(out, "Compiled({nodes} nodes, {})", self.hash)
    }
}

impl Body {
    fn new(doc: usize, graph: Graph, nodes: Vec<Ready>, result: Option<&str>) -> Self {
        let without = |links: &[Vec<usize>]| -> Vec<usize> {
            let ends = links.iter().enumerate();
            ends.filter(|(at, links)| links.is_empty() && !nodes[*at].is_remark())
                .map(|(at, _)| at)
                .collect()
        };
        let last = without(&graph.outgoing);
        let named = result.and_then(|id| graph.by_id.get(id).copied());
        let result = match (named, last.as_slice()) {
            (Some(at), _) | (None, &[at]) => Results::One(at),
            _ => Results::Some(last),
        };
        Self {
            doc,
            first: without(&graph.incoming),
            graph,
            nodes,
            result,
        }
    }
}

/// Of all documents; that of one alone is what it was before workflows could call workflows.
fn hash_all(checked: &[Checked], known: &BTreeMap<WorkflowRef, usize>) -> String {
    let mut hasher = Sha256::new();
    if let Some(first) = checked.first() {
        hash(&first.definition, &mut hasher);
    }
    for (which, &doc) in known {
        hasher.update([4]);
        hasher.update(which.workflow_id.as_bytes());
        hasher.update(which.version.to_be_bytes());
        hash(&checked[doc].definition, &mut hasher);
    }
    let hash = hasher.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes what a document means, with the keys of objects in order.
fn hash(definition: &Definition, hasher: &mut Sha256) {
    for node in &definition.nodes {
        for part in [&node.id, &node.kind] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        if let Some(parent) = &node.parent {
            hasher.update(parent.as_bytes());
            hasher.update([5]);
        }
        hash_map(&node.data, hasher);
    }
    for edge in &definition.edges {
        let handle = edge.source_handle.as_deref().unwrap_or(DEFAULT_HANDLE);
        for part in [edge.source.as_str(), handle, &edge.target] {
            hasher.update(part.as_bytes());
            hasher.update([1]);
        }
    }
    hash_map(&definition.vars, hasher);
    if let Some(settings) = definition.extra.get("settings") {
        hash_value(settings, hasher);
    }
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
