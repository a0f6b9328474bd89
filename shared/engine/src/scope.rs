//! What templates see, borrowed from the run. Plain paths read it as it is; a context for the full template engine is made
//! only when an expression needs one, and only of the roots that it names.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use minijinja::Value as Jinja;
use serde_json::{Map, Value, json};

use crate::template::jinja;

/// A value that the run keeps, and what the full engine sees of it: made at most once, however many look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) value: Value,
    pub(crate) made: OnceLock<Jinja>,
}

impl Seen {
    pub(crate) fn new(value: Value) -> Self {
        let made = OnceLock::new();
        Self { value, made }
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            value: &self.value,
            made: Made::There(&self.made),
        }
    }
}

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A value as templates see it, borrowed.
#[derive(Debug, Clone)]
pub(crate) struct View<'a> {
    pub(crate) value: &'a Value,
    made: Made<'a>,
}

/// Where the full engine's form of a value is kept.
#[derive(Debug, Clone)]
enum Made<'a> {
    Here(OnceLock<Jinja>),
    There(&'a OnceLock<Jinja>),
}

impl<'a> View<'a> {
    /// Of a value that nobody else looks at.
    pub(crate) fn of(value: &'a Value) -> Self {
        let made = Made::Here(OnceLock::new());
        Self { value, made }
    }

    fn to_jinja(&self) -> Jinja {
        let made = match &self.made {
            Made::Here(made) => made,
            Made::There(made) => *made,
        };
        made.get_or_init(|| jinja(self.value)).clone()
    }
}

/// One node as templates see it.
#[derive(Debug, Clone)]
pub(crate) struct NodeView<'a> {
    /// Its output; none for a node that has not finished or was skipped.
    pub(crate) output: Option<View<'a>>,
    /// `finished`, `skipped` or `pending`.
    pub(crate) state: &'static str,
}

impl NodeView<'_> {
    fn to_jinja(&self) -> Jinja {
        let output = self.output.as_ref();
        let output = output.map_or_else(|| Jinja::from(()), View::to_jinja);
        Jinja::from_pairs([("output", output), ("state", Jinja::from(self.state))])
    }
}

/// What a name of one place alone stands for.
#[derive(Debug, Clone)]
pub(crate) enum Local<'a> {
    /// A value of the run, such as the item of an iteration.
    Of(View<'a>),
    /// A value of its own, such as an index or an item of a list.
    Own(Value),
    /// Further names, such as those of each loop around by the loop's id.
    Names(BTreeMap<&'a str, Local<'a>>),
}

impl Local<'_> {
    fn to_jinja(&self) -> Jinja {
        match self {
            Self::Of(view) => view.to_jinja(),
            Self::Own(value) => jinja(value),
            Self::Names(names) => {
                let pairs = names.iter();
                Jinja::from_pairs(pairs.map(|(name, local)| (*name, local.to_jinja())))
            }
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Of(view) => view.value.clone(),
            Self::Own(value) => value.clone(),
            Self::Names(names) => {
                let pairs = names.iter();
                Value::Object(
                    pairs
                        .map(|(name, of)| ((*name).to_owned(), of.to_value()))
                        .collect(),
                )
            }
        }
    }
}

/// Names that templates see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) inputs: Option<View<'a>>,
    pub(crate) vars: Option<View<'a>>,
    /// `id`, `trace_id`, `started_at`.
    pub(crate) run: Option<View<'a>>,
    /// The nodes that the templates refer to, by id: of the node's own frame and of those around it.
    pub(crate) nodes: BTreeMap<&'a str, NodeView<'a>>,
    /// The secrets that the templates refer to, resolved.
    pub secrets: BTreeMap<String, String>,
    /// The addresses of waits that the templates refer to, by node id.
    pub(crate) waits: BTreeMap<String, String>,
    /// Names of this place alone: of the loops around, such as `item`, `index` and `loops`, or of what is at hand.
    pub(crate) locals: BTreeMap<&'a str, Local<'a>>,
    /// `nodes` as the full engine sees them.
    pub(crate) made: OnceLock<Jinja>,
}

/// A scope that owns what it shows: of a preview, or for what is rendered later.
#[derive(Clone, PartialEq)]
pub struct Surroundings {
    /// `inputs`.
    pub inputs: Value,
    /// `vars`: an object.
    pub vars: Value,
    /// `run`: `id`, `trace_id`, `started_at`.
    pub run: Value,
    /// Outputs of nodes by id; null for a node that was not taken.
    pub nodes: Map<String, Value>,
    /// Names of loops: `item`, `index`, `previous`, `loops`.
    pub locals: Map<String, Value>,
    /// Nodes that have not finished, and what they are.
    pub states: BTreeMap<String, &'static str>,
    /// Secrets by name.
    pub secrets: BTreeMap<String, String>,
    /// Addresses of `wait` nodes by id.
    pub waits: BTreeMap<String, String>,
}

impl Default for Surroundings {
    /// Nothing at all.
    fn default() -> Self {
        Self {
            inputs: Value::Null,
            vars: Value::Object(Map::new()),
            run: Value::Null,
            nodes: Map::new(),
            locals: Map::new(),
            states: BTreeMap::new(),
            secrets: BTreeMap::new(),
            waits: BTreeMap::new(),
        }
    }
}

impl std::fmt::Debug for Surroundings {
    /// Without secrets.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Surroundings({} nodes)", self.nodes.len())
    }
}

impl Surroundings {
    /// What templates see of it.
    pub(crate) fn scope(&self) -> Scope<'_> {
        let nodes = self.nodes.iter().map(|(id, output)| {
            let view = match self.states.get(id) {
                Some(&state) => NodeView {
                    output: None,
                    state,
                },
                None => NodeView {
                    output: Some(View::of(output)),
                    state: "finished",
                },
            };
            (id.as_str(), view)
        });
        let locals = self.locals.iter();
        Scope {
            inputs: Some(View::of(&self.inputs)),
            vars: Some(View::of(&self.vars)),
            run: Some(View::of(&self.run)),
            nodes: nodes.collect(),
            secrets: self.secrets.clone(),
            waits: self.waits.clone(),
            locals: locals
                .map(|(name, value)| (name.as_str(), Local::Of(View::of(value))))
                .collect(),
            ..Scope::default()
        }
    }

    /// What a text may see of it: the roots that it does not name are left out, as from [`Scope::context`].
    pub(crate) fn seen_by(&self, text: &str) -> Value {
        let roots = [
            ("inputs", &self.inputs),
            ("vars", &self.vars),
            ("run", &self.run),
        ];
        let locals = self.locals.iter();
        let named = roots
            .into_iter()
            .chain(locals.map(|(name, value)| (name.as_str(), value)))
            .filter(|(name, _)| text.contains(name))
            .map(|(name, value)| (name.to_owned(), value.clone()));
        let mut seen: Map<String, Value> = named.collect();
        if text.contains("nodes") {
            seen.insert("nodes".to_owned(), Value::Object(self.nodes.clone()));
            seen.insert("states".to_owned(), json!(self.states));
        }
        seen.insert("secrets".to_owned(), json!(self.secrets));
        if !self.waits.is_empty() {
            seen.insert("waits".to_owned(), json!(self.waits));
        }
        Value::Object(seen)
    }
}

impl Scope<'_> {
    /// A copy of its own.
    pub(crate) fn to_owned(&self) -> Surroundings {
        let value = |view: &Option<View<'_>>| {
            let view = view.as_ref();
            view.map(|view| view.value.clone()).unwrap_or_default()
        };
        let nodes = self.nodes.iter();
        let states = nodes.clone().filter(|(_, node)| node.output.is_none());
        let locals = self.locals.iter();
        Surroundings {
            inputs: value(&self.inputs),
            vars: value(&self.vars),
            run: value(&self.run),
            nodes: nodes
                .map(|(id, node)| ((*id).to_owned(), value(&node.output)))
                .collect(),
            locals: locals
                .map(|(name, local)| ((*name).to_owned(), local.to_value()))
                .collect(),
            states: states
                .map(|(id, node)| ((*id).to_owned(), node.state))
                .collect(),
            secrets: self.secrets.clone(),
            waits: self.waits.clone(),
        }
    }
}

/// Where a plain path starts.
pub(crate) enum Root<'a> {
    /// At a value.
    Value(&'a Value),
    /// At names of this place alone.
    Names(&'a BTreeMap<&'a str, Local<'a>>),
    /// At the nodes.
    Nodes,
    /// At the secrets.
    Secrets,
}

impl<'a> Scope<'a> {
    /// The value that a name stands for.
    pub(crate) fn root(&self, name: &str) -> Option<Root<'_>> {
        if let Some(local) = self.locals.get(name) {
            return Some(local.root());
        }
        let view = match name {
            "inputs" => &self.inputs,
            "run" => &self.run,
            "vars" => &self.vars,
            "nodes" => return Some(Root::Nodes),
            "secrets" => return Some(Root::Secrets),
            _ => return None,
        };
        view.as_ref().map(|view| Root::Value(view.value))
    }

    /// The context of the full engine for this text: a root that the text does not name is left out.
    pub(crate) fn context(&self, text: &str) -> Jinja {
        let mut roots: Vec<(&str, Jinja)> = Vec::new();
        for (name, view) in [
            ("inputs", &self.inputs),
            ("vars", &self.vars),
            ("run", &self.run),
        ] {
            if let Some(view) = view.as_ref().filter(|_| text.contains(name)) {
                roots.push((name, view.to_jinja()));
            }
        }
        if text.contains("nodes") {
            let made = self.made.get_or_init(|| {
                let pairs = self.nodes.iter();
                Jinja::from_pairs(pairs.map(|(id, node)| (*id, node.to_jinja())))
            });
            roots.push(("nodes", made.clone()));
        }
        if text.contains("secrets") {
            let pairs = self.secrets.iter();
            let pairs = pairs.map(|(name, value)| (name.as_str(), Jinja::from(value.as_str())));
            roots.push(("secrets", Jinja::from_pairs(pairs)));
        }
        if !self.waits.is_empty() && text.contains("waits") {
            let pairs = self.waits.iter();
            let pairs = pairs.map(|(id, url)| {
                let wait = Jinja::from_pairs([("url", Jinja::from(url.as_str()))]);
                (id.as_str(), wait)
            });
            roots.push(("waits", Jinja::from_pairs(pairs)));
        }
        for (name, local) in &self.locals {
            if text.contains(name) {
                roots.push((name, local.to_jinja()));
            }
        }
        Jinja::from_pairs(roots)
    }

    /// A copy for expressions that are evaluated once per item.
    pub(crate) fn for_items(&self) -> Self {
        self.clone()
    }

    /// Puts `item` and `index` in place, for an expression that is evaluated once per item.
    pub(crate) fn set_item(&mut self, item: Value, index: usize) {
        self.locals.insert("item", Local::Own(item));
        let index = Local::Own(Value::from(index));
        self.locals.insert("index", index);
    }

    /// Takes `item` out again.
    pub(crate) fn take_item(&mut self) -> Value {
        match self.locals.remove("item") {
            Some(Local::Own(item)) => item,
            other => other.map(|local| local.to_value()).unwrap_or_default(),
        }
    }
}

impl Local<'_> {
    /// Where a path goes on from here.
    pub(crate) fn root(&self) -> Root<'_> {
        match self {
            Self::Of(view) => Root::Value(view.value),
            Self::Own(value) => Root::Value(value),
            Self::Names(names) => Root::Names(names),
        }
    }
}

#[cfg(test)]
impl<'a> Scope<'a> {
    /// A scope with inputs and outputs of nodes, given as `{"inputs": …, "vars": …, "nodes": {"id": {"output": …}}}`.
    pub(crate) fn of(all: &'a Value) -> Self {
        let nodes = all.get("nodes").and_then(Value::as_object);
        let nodes = nodes.into_iter().flatten().map(|(id, node)| {
            let output = node.get("output").map(View::of);
            let view = NodeView {
                output,
                state: "finished",
            };
            (id.as_str(), view)
        });
        Scope {
            inputs: all.get("inputs").map(View::of),
            vars: all.get("vars").map(View::of),
            run: all.get("run").map(View::of),
            nodes: nodes.collect(),
            ..Scope::default()
        }
    }
}
