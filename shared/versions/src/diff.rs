//! What differs between two documents.

use crate::change::{Change, changes};
use crate::document::{Keyed, List, POSITION, in_shape, keyed, places, rest, without_position};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The difference between two documents, in the document's own words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// What happened to nodes.
    pub nodes: Elements,
    /// What happened to edges.
    pub edges: Elements,
    /// Changes of everything else, by JSON pointer into the document.
    pub document: Vec<Change>,
}

/// What happened to the elements of a list. An element is known by its id; an edge without one by what it connects
/// (`check:true->mail`). Where an id is there more than once, the second one is `id#2`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Elements {
    /// New ones, in their order.
    pub added: Vec<Placed>,
    /// Those that are gone.
    pub removed: Vec<Removed>,
    /// Those that are drawn elsewhere. One that also changed is in both lists.
    pub moved: Vec<Moved>,
    /// Those that changed otherwise.
    pub changed: Vec<Changed>,
    /// The order of those that stayed, when it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<String>>,
}

/// A new element and its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// Its id.
    pub id: String,
    /// The element before it in the list; null for the first one.
    pub after: Option<String>,
    /// The element.
    pub value: Value,
}

/// An element that is gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// Its id.
    pub id: String,
    /// What it was.
    pub value: Value,
}

/// An element that is drawn elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// Its id.
    pub id: String,
    /// Its `position` before.
    pub from: Value,
    /// Its `position` now.
    pub to: Value,
}

/// An element that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Its id.
    pub id: String,
    /// The changes, by JSON pointer into the element, such as `/data/prompt`.
    pub changes: Vec<Change>,
}

impl Diff {
    /// Whether the documents are the same.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What makes `b` out of `a`.
pub fn diff(a: &Value, b: &Value) -> Diff {
    if !in_shape(&[a, b]) {
        return Diff {
            document: changes(a, b),
            ..Diff::default()
        };
    }
    Diff {
        nodes: elements(&keyed(a, List::Nodes), &keyed(b, List::Nodes)),
        edges: elements(&keyed(a, List::Edges), &keyed(b, List::Edges)),
        document: changes(&rest(a), &rest(b)),
    }
}

fn elements(a: &Keyed<'_>, b: &Keyed<'_>) -> Elements {
    let mut found = Elements {
        added: added(a, b),
        removed: removed(a, b),
        ..Elements::default()
    };
    for key in b.common(a) {
        if let (Some(old), Some(new)) = (a.get(key), b.get(key)) {
            compare(key, old, new, &mut found);
        }
    }
    if !a.common(b).eq(b.common(a)) {
        found.order = Some(b.common(a).map(str::to_owned).collect());
    }
    found
}

fn added(a: &Keyed<'_>, b: &Keyed<'_>) -> Vec<Placed> {
    let new = places(&b.order, |key| !a.has(key));
    let placed = new.filter_map(|(after, key)| {
        Some(Placed {
            id: key.clone(),
            after: after.cloned(),
            value: b.get(key)?.clone(),
        })
    });
    placed.collect()
}

fn removed(a: &Keyed<'_>, b: &Keyed<'_>) -> Vec<Removed> {
    let gone = a.order.iter().filter(|key| !b.has(key));
    let removed = gone.filter_map(|key| {
        Some(Removed {
            id: key.clone(),
            value: a.get(key)?.clone(),
        })
    });
    removed.collect()
}

fn compare(key: &str, old: &Value, new: &Value, found: &mut Elements) {
    if old == new {
        return;
    }
    let id = key.to_owned();
    let moved = match (old.get(POSITION), new.get(POSITION)) {
        (Some(from), Some(to)) if from != to => Some((from.clone(), to.clone())),
        _ => None,
    };
    let Some((from, to)) = moved else {
        let changes = changes(old, new);
        return found.changed.push(Changed { id, changes });
    };
    let changes = changes(&without_position(old), &without_position(new));
    if !changes.is_empty() {
        let id = id.clone();
        found.changed.push(Changed { id, changes });
    }
    found.moved.push(Moved { id, from, to });
}
