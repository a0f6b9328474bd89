//! Three-way merge of documents.
//!
//! The rules, as somebody who works on a canvas with others expects them:
//!
//! - Edits of different nodes, or of different fields of one node, go together. Edits of one field do not.
//! - Where a node is drawn is nobody's decision to lose sleep over: moved by both sides, it is where theirs (the later
//!   edit) has it, without a conflict, and a node that was only moved can be removed by the other side.
//! - Removing what the other side changed is a conflict, and so is connecting a node that the other side removed.
//! - The same connection drawn by both sides is one edge.
//! - Two orders of one list: ours, when ours changed it.

use crate::document::{
    Keyed, List, POSITION, assemble, connection, in_shape, keyed, places, rest, weave,
    without_position,
};
use crate::three_way::{Conflict, ConflictKind, Merged, Three};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// One list in three documents.
struct Sides<'a> {
    list: List,
    base: Keyed<'a>,
    ours: Keyed<'a>,
    theirs: Keyed<'a>,
}

/// Elements by key: a list while it is being merged.
type Elements = HashMap<String, Value>;

/// Brings `ours` and `theirs`, both made from `base`, together.
pub fn merge(base: &Value, ours: &Value, theirs: &Value) -> Merged {
    let mut conflicts = Vec::new();
    let three = |b, o, t| Three {
        base: Some(b),
        ours: Some(o),
        theirs: Some(t),
    };
    if !in_shape(&[base, ours, theirs]) {
        let definition = three(base, ours, theirs).merge("", &mut conflicts);
        return Merged {
            definition: definition.unwrap_or_default(),
            conflicts,
        };
    }
    let sides = |list| Sides {
        list,
        base: keyed(base, list),
        ours: keyed(ours, list),
        theirs: keyed(theirs, list),
    };
    let (of_nodes, of_edges) = (sides(List::Nodes), sides(List::Edges));
    let mut nodes = of_nodes.merged(&mut conflicts);
    let mut edges = of_edges.merged(&mut conflicts);
    of_edges.drop_doubles(&mut edges);
    of_edges.tie_loose_ends(&mut edges, &of_nodes, &mut nodes, &mut conflicts);
    let (b, o, t) = (rest(base), rest(ours), rest(theirs));
    let rest = three(&b, &o, &t).merge("", &mut conflicts);
    Merged {
        definition: assemble(
            rest.unwrap_or_default(),
            of_nodes.in_order(nodes),
            of_edges.in_order(edges),
        ),
        conflicts,
    }
}

impl<'a> Sides<'a> {
    fn three(&self, key: &str) -> Three<'a> {
        Three {
            base: self.base.get(key),
            ours: self.ours.get(key),
            theirs: self.theirs.get(key),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &String> {
        let new = self.theirs.order.iter().filter(|key| !self.ours.has(key));
        self.ours.order.iter().chain(new)
    }

    fn merged(&self, conflicts: &mut Vec<Conflict>) -> Elements {
        let mut merged = Elements::new();
        for key in self.keys() {
            let mut found = Vec::new();
            if let Some(element) = element(self.three(key), &mut found) {
                merged.insert(key.clone(), element);
            }
            conflicts.extend(found.into_iter().map(|conflict| self.placed(conflict, key)));
        }
        merged
    }

    fn placed(&self, mut conflict: Conflict, key: &str) -> Conflict {
        match self.list {
            List::Nodes => conflict.node_id = Some(key.to_owned()),
            List::Edges => conflict.edge_id = Some(key.to_owned()),
        }
        conflict
    }

    /// Both sides drew the same connection: ours stays.
    fn drop_doubles(&self, edges: &mut Elements) {
        let new = |key: &String| !self.base.has(key);
        let ours: HashSet<String> = (self.ours.order.iter().filter(|key| new(key)))
            .filter_map(|key| self.ours.get(key).map(connection))
            .collect();
        for key in self
            .theirs
            .order
            .iter()
            .filter(|key| new(key) && !self.ours.has(key))
        {
            let connects = self.theirs.get(key).map(connection);
            if connects.is_some_and(|connected| ours.contains(&connected)) {
                edges.remove(key);
            }
        }
    }

    /// An edge of one side at a node that the other one removed: what ours has stays whole, node or no edge.
    fn tie_loose_ends(
        &self,
        edges: &mut Elements,
        of_nodes: &Sides<'_>,
        nodes: &mut Elements,
        conflicts: &mut Vec<Conflict>,
    ) {
        for key in self.keys() {
            let Some(edge) = edges.get(key) else { continue };
            let ends = ["source", "target"].map(|end| edge[end].as_str().unwrap_or_default());
            // An edge that hangs loose in a side itself is that document's fault, not the merge's.
            let tied = |side: &Keyed<'_>, at: &Keyed<'_>, id: &str| !side.has(key) || at.has(id);
            let lost = |id: &str| {
                !nodes.contains_key(id)
                    && tied(&self.ours, &of_nodes.ours, id)
                    && tied(&self.theirs, &of_nodes.theirs, id)
            };
            let lost = ends.into_iter().filter(|id| lost(id));
            let lost: Vec<String> = lost.map(str::to_owned).collect();
            if lost.is_empty() {
                continue;
            }
            let conflict = self.three(key).conflict(ConflictKind::DanglingEdge, "");
            let mut conflict = self.placed(conflict, key);
            conflict.node_id = lost.first().cloned();
            conflicts.push(conflict);
            if self.ours.has(key) {
                let back = lost
                    .iter()
                    .filter_map(|id| Some((id, of_nodes.ours.get(id)?)));
                nodes.extend(back.map(|(id, node)| (id.clone(), node.clone())));
            } else {
                edges.remove(key);
            }
        }
    }

    /// The elements in the order of the side that changed it, each new one of the other side behind its neighbour.
    fn in_order(&self, mut merged: Elements) -> Vec<Value> {
        let reordered = !self
            .base
            .common(&self.ours)
            .eq(self.ours.common(&self.base));
        let (first, second) = match reordered {
            true => (&self.ours, &self.theirs),
            false => (&self.theirs, &self.ours),
        };
        let kept = |side: &Keyed<'_>| -> Vec<String> {
            let kept = side.order.iter().filter(|key| merged.contains_key(*key));
            kept.cloned().collect()
        };
        let (skeleton, others) = (kept(first), kept(second));
        let followers = places(&others, |key| !first.has(key))
            .map(|(before, key)| (before.cloned(), key.clone()))
            .collect();
        let order = weave(skeleton, &followers);
        order.iter().filter_map(|key| merged.remove(key)).collect()
    }
}

/// One element of a list: as a whole where a side has added or removed it, else member by member.
fn element(three: Three<'_>, conflicts: &mut Vec<Conflict>) -> Option<Value> {
    let kind = match (three.base, three.ours, three.theirs) {
        (Some(_), Some(_), Some(_)) => return members(three, conflicts),
        (None, Some(ours), Some(theirs)) if same_but_place(ours, theirs) => {
            return Some(theirs.clone());
        }
        (None, Some(_), Some(_)) => ConflictKind::BothAdded,
        (Some(base), Some(ours), None) if !same_but_place(base, ours) => ConflictKind::TheyRemoved,
        (Some(base), None, Some(theirs)) if !same_but_place(base, theirs) => {
            ConflictKind::WeRemoved
        }
        (None, ours, theirs) => return ours.or(theirs).cloned(),
        (Some(_), _, _) => return None,
    };
    conflicts.push(three.conflict(kind, ""));
    three.ours.cloned()
}

/// Member by member; the position is one value, and theirs where both changed it.
fn members(three: Three<'_>, conflicts: &mut Vec<Conflict>) -> Option<Value> {
    let place = |side: Option<&Value>| side.and_then(|element| element.get(POSITION)).cloned();
    let (base, ours, theirs) = (place(three.base), place(three.ours), place(three.theirs));
    let place = if base == theirs { ours } else { theirs };
    let bare = |side: Option<&Value>| side.map(without_position);
    let (base, ours, theirs) = (bare(three.base), bare(three.ours), bare(three.theirs));
    let bare = Three {
        base: base.as_ref(),
        ours: ours.as_ref(),
        theirs: theirs.as_ref(),
    };
    let mut merged = bare.merge("", conflicts)?;
    if let (Some(members), Some(place)) = (merged.as_object_mut(), place) {
        members.insert(POSITION.to_owned(), place);
    }
    Some(merged)
}

fn same_but_place(a: &Value, b: &Value) -> bool {
    without_position(a) == without_position(b)
}
