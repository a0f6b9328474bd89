//! A document taken apart: nodes and edges by their keys, in order, and the rest.

use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// The lists whose elements have an identity.
pub(crate) const LISTS: [List; 2] = [List::Nodes, List::Edges];

/// One of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Nodes,
    Edges,
}

impl List {
    /// The member of the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Edges => "edges",
        }
    }

    fn label(self, element: &Value) -> String {
        if let Some(id) = element["id"].as_str() {
            return id.to_owned();
        }
        match self {
            Self::Edges if element["source"].is_string() => connection(element),
            // Nothing to know it by but what it is.
            _ => element.to_string(),
        }
    }
}

/// What an edge connects, such as `check:true->mail`.
pub(crate) fn connection(edge: &Value) -> String {
    let end = |id: &str, handle: &str| match edge[handle].as_str() {
        Some(handle) => format!("{}:{handle}", edge[id].as_str().unwrap_or_default()),
        None => edge[id].as_str().unwrap_or_default().to_owned(),
    };
    let (source, target) = (end("source", "sourceHandle"), end("target", "targetHandle"));
    format!("{source}->{target}")
}

/// Elements by key, in order.
#[derive(Debug, Default)]
pub(crate) struct Keyed<'a> {
    /// The keys in the list's order.
    pub order: Vec<String>,
    by_key: HashMap<String, &'a Value>,
}

impl<'a> Keyed<'a> {
    fn of(list: List, elements: &'a [Value]) -> Self {
        let mut keyed = Self::default();
        for element in elements {
            let label = list.label(element);
            let mut key = label.clone();
            let mut n = 1;
            // The second one of the same id is `id#2`: in a sound document there is none.
            while keyed.by_key.contains_key(&key) {
                n += 1;
                key = format!("{label}#{n}");
            }
            keyed.order.push(key.clone());
            keyed.by_key.insert(key, element);
        }
        keyed
    }

    /// The element with this key.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.by_key.get(key).copied()
    }

    /// Whether there is one with this key.
    pub fn has(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Keys of `self` that `other` has too, in the order of `self`.
    pub fn common<'k>(&'k self, other: &'k Keyed<'_>) -> impl Iterator<Item = &'k str> {
        let shared = self.order.iter().filter(|key| other.has(key));
        shared.map(String::as_str)
    }
}

/// Whether all of `documents` are objects with both lists: only then are elements matched by key.
pub(crate) fn in_shape(documents: &[&Value]) -> bool {
    let listed = |document: &Value| LISTS.iter().all(|list| document[list.name()].is_array());
    documents
        .iter()
        .all(|document| document.is_object() && listed(document))
}

/// One list of a document that is in shape.
pub(crate) fn keyed(document: &Value, list: List) -> Keyed<'_> {
    let elements = document[list.name()].as_array();
    Keyed::of(list, elements.map_or(&[], Vec::as_slice))
}

/// The document without its lists.
pub(crate) fn rest(document: &Value) -> Value {
    let members = document.as_object().into_iter().flatten();
    let rest = members.filter(|(name, _)| LISTS.iter().all(|list| list.name() != name.as_str()));
    Value::Object(rest.map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// A document out of its parts.
pub(crate) fn assemble(rest: Value, nodes: Vec<Value>, edges: Vec<Value>) -> Value {
    let mut members = match rest {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.insert(List::Nodes.name().to_owned(), Value::Array(nodes));
    members.insert(List::Edges.name().to_owned(), Value::Array(edges));
    Value::Object(members)
}

/// An element without its place on the canvas.
pub(crate) fn without_position(element: &Value) -> Value {
    let mut copy = element.clone();
    if let Some(members) = copy.as_object_mut() {
        members.remove(POSITION);
    }
    copy
}

/// The member of a node that says where it is drawn.
pub(crate) const POSITION: &str = "position";

/// The key before each of `wanted` in `order`: none for the first one.
pub(crate) fn places<'k>(
    order: &'k [String],
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (Option<&'k String>, &'k String)> {
    let before = std::iter::once(None).chain(order.iter().map(Some));
    before.zip(order).filter(move |(_, key)| wanted(key))
}

/// `skeleton` with each follower right behind the key that it follows (none: at the front). Followers may follow each
/// other; one that leads nowhere is left out.
pub(crate) fn weave(
    skeleton: impl IntoIterator<Item = String>,
    followers: &HashMap<Option<String>, String>,
) -> Vec<String> {
    let mut woven = Vec::new();
    let mut seen = HashSet::new();
    for anchor in std::iter::once(None).chain(skeleton.into_iter().map(Some)) {
        let mut last = anchor;
        woven.extend(last.clone());
        while let Some(next) = followers.get(&last).filter(|key| !seen.contains(*key)) {
            seen.insert(next.clone());
            woven.push(next.clone());
            last = Some(next.clone());
        }
    }
    woven
}
