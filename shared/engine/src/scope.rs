//! What templates see, borrowed from the run. Plain paths read it as it is; a context for the full template engine is made
//! only when an expression needs one, and only of the roots that it names.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use minijinja::Value as Jinja;
use serde_json::{Map, Value};

use crate::template::{jinja, jinja_map};

/// One node as templates see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NodeView<'a> {
    /// Its output; none for a node that has not finished or was skipped.
    pub(crate) output: Option<&'a Value>,
    /// `finished`, `skipped` or `pending`.
    pub(crate) state: &'static str,
}

impl NodeView<'_> {
    fn to_jinja(self) -> Jinja {
        let output = self.output.map_or_else(|| Jinja::from(()), jinja);
        Jinja::from_pairs([("output", output), ("state", Jinja::from(self.state))])
    }
}

/// Names that templates see.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) inputs: Option<&'a Value>,
    pub(crate) vars: Option<&'a Map<String, Value>>,
    /// `id`, `trace_id`, `started_at`.
    pub(crate) run: Value,
    /// The nodes that the templates refer to, by id.
    pub(crate) nodes: BTreeMap<&'a str, NodeView<'a>>,
    /// The secrets that the templates refer to, resolved.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Names of this place alone, such as `item` and `index`.
    pub(crate) locals: BTreeMap<&'a str, Value>,
    pub(crate) made: Made,
}

/// A scope that owns what it shows: of a preview, or for what is rendered later.
#[derive(Clone, Default, PartialEq)]
pub struct Surroundings {
    /// `inputs`.
    pub inputs: Value,
    /// `vars`.
    pub vars: Map<String, Value>,
    /// `run`: `id`, `trace_id`, `started_at`.
    pub run: Value,
    /// Outputs of nodes by id; null for a node that was not taken.
    pub nodes: Map<String, Value>,
    /// Secrets by name.
    pub(crate) secrets: BTreeMap<String, String>,
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
            let view = NodeView {
                output: Some(output),
                state: "finished",
            };
            (id.as_str(), view)
        });
        Scope {
            inputs: Some(&self.inputs),
            vars: Some(&self.vars),
            run: self.run.clone(),
            nodes: nodes.collect(),
            secrets: self.secrets.clone(),
            ..Scope::default()
        }
    }
}

impl Scope<'_> {
    /// A copy of its own.
    pub(crate) fn to_owned(&self) -> Surroundings {
        let outputs = self.nodes.iter().map(|(id, node)| {
            let output = node.output.cloned().unwrap_or_default();
            ((*id).to_owned(), output)
        });
        Surroundings {
            inputs: self.inputs.cloned().unwrap_or_default(),
            vars: self.vars.cloned().unwrap_or_default(),
            run: self.run.clone(),
            nodes: outputs.collect(),
            secrets: self.secrets.clone(),
        }
    }
}

/// Parts of the context that have been made already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Made {
    inputs: OnceCell<Jinja>,
    vars: OnceCell<Jinja>,
    nodes: OnceCell<Jinja>,
}

/// Where a plain path starts.
pub(crate) enum Root<'a> {
    /// At a value.
    Value(&'a Value),
    /// At the constants, which are no value of their own.
    Vars(&'a Map<String, Value>),
    /// At the nodes.
    Nodes,
    /// At the secrets.
    Secrets,
}

impl<'a> Scope<'a> {
    /// The value that a name stands for.
    pub(crate) fn root(&self, name: &str) -> Option<Root<'_>> {
        if let Some(local) = self.locals.get(name) {
            return Some(Root::Value(local));
        }
        match name {
            "inputs" => self.inputs.map(Root::Value),
            "run" => Some(Root::Value(&self.run)),
            "vars" => self.vars.map(Root::Vars),
            "nodes" => Some(Root::Nodes),
            "secrets" => Some(Root::Secrets),
            _ => None,
        }
    }

    /// The context of the full engine for this text: a root that the text does not name is left out.
    pub(crate) fn context(&self, text: &str) -> Jinja {
        let mut roots: Vec<(&str, Jinja)> = Vec::new();
        if text.contains("inputs")
            && let Some(inputs) = self.inputs
        {
            let made = self.made.inputs.get_or_init(|| jinja(inputs));
            roots.push(("inputs", made.clone()));
        }
        if text.contains("vars")
            && let Some(vars) = self.vars
        {
            let made = self.made.vars.get_or_init(|| jinja_map(vars));
            roots.push(("vars", made.clone()));
        }
        if text.contains("nodes") {
            let made = self.made.nodes.get_or_init(|| {
                let pairs = self.nodes.iter();
                Jinja::from_pairs(pairs.map(|(id, node)| ((*id).to_owned(), node.to_jinja())))
            });
            roots.push(("nodes", made.clone()));
        }
        if text.contains("run") {
            roots.push(("run", jinja(&self.run)));
        }
        if text.contains("secrets") {
            let pairs = self.secrets.iter();
            let pairs = pairs.map(|(name, value)| (name.clone(), Jinja::from(value.as_str())));
            roots.push(("secrets", Jinja::from_pairs(pairs)));
        }
        for (name, value) in &self.locals {
            if text.contains(name) {
                roots.push((name, jinja(value)));
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
        self.locals.insert("item", item);
        self.locals.insert("index", Value::from(index));
    }

    /// Takes `item` out again.
    pub(crate) fn take_item(&mut self) -> Value {
        self.locals.remove("item").unwrap_or_default()
    }
}

#[cfg(test)]
impl<'a> Scope<'a> {
    /// A scope with inputs and outputs of nodes, given as `{"inputs": …, "vars": …, "nodes": {"id": {"output": …}}}`.
    pub(crate) fn of(all: &'a Value) -> Self {
        let nodes = all.get("nodes").and_then(Value::as_object);
        let nodes = nodes.into_iter().flatten().map(|(id, node)| {
            let output = node.get("output");
            let view = NodeView {
                output,
                state: "finished",
            };
            (id.as_str(), view)
        });
        Scope {
            inputs: all.get("inputs"),
            vars: all.get("vars").and_then(Value::as_object),
            nodes: nodes.collect(),
            ..Scope::default()
        }
    }
}
