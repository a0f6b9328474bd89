//! What `parentId`, loops and joins must be.

use std::collections::HashMap;

use crate::document::{Definition, Node};
use crate::fault::Faults;
use crate::graph::Graph;
use crate::nodes::{self, Flow, Join};
use crate::plan::Ready;

/// The names of loops that a node's templates may use.
pub(super) fn names(node: &Node, kinds: &HashMap<&str, &str>) -> Vec<&'static str> {
    let parent = node.parent.as_deref();
    let kind = parent.map(|id| kinds.get(id).copied().unwrap_or_default());
    let mut names = match kind {
        None => Vec::new(),
        Some("for_each") => vec!["item", "index", "loops"],
        Some("while") => vec!["index", "previous", "loops"],
        // The parent is at fault, not what is said of it.
        Some(_) => nodes::LOOP_NAMES.to_vec(),
    };
    for own in ["index", "previous"] {
        if node.kind == "while" && !names.contains(&own) {
            names.push(own);
        }
    }
    names
}

/// Checks them, and says whether every `parentId` makes sense.
pub(super) fn check(
    definition: &Definition,
    graph: &Graph,
    ready: &[Option<Ready>],
    faults: &mut Faults,
) -> bool {
    let parents = parents(definition, graph, ready, faults);
    let Some(parents) = parents else { return false };
    check_nesting(&parents, faults);
    check_bodies(definition, graph, ready, &parents, faults);
    for (i, edge) in definition.edges.iter().enumerate() {
        let home = |id: &str| graph.by_id.get(id).map(|&at| parents[at]);
        if let (Some(from), Some(to)) = (home(&edge.source), home(&edge.target))
            && from != to
        {
            let message = "an edge joins nodes of the same loop; what is before the loop goes to the loop itself";
            faults.add(format!("/edges/{i}"), "crosses_loop", message);
        }
    }
    check_joins(definition, graph, ready, faults);
    !faults.any(&["loop_in_itself", "crosses_loop"])
}

/// The position of each node's loop; none when there is a fault.
fn parents(
    definition: &Definition,
    graph: &Graph,
    ready: &[Option<Ready>],
    faults: &mut Faults,
) -> Option<Vec<Option<usize>>> {
    let mut parents = vec![None; definition.nodes.len()];
    let mut whole = true;
    for (i, node) in definition.nodes.iter().enumerate() {
        let Some(id) = &node.parent else { continue };
        let at = format!("/nodes/{i}/parentId");
        let parent = graph.by_id.get(id).copied();
        let is_loop = |at: usize| {
            let ready = ready[at].as_ref();
            // What the type of is not known, is reported there.
            ready.is_none_or(|ready| ready.flow.has_body())
        };
        match parent {
            Some(parent) if is_loop(parent) => parents[i] = Some(parent),
            Some(_) => {
                let message =
                    format!("{id:?} is not a loop: only for_each and while have nodes inside");
                faults.add(at, "not_a_loop", message);
                whole = false;
            }
            None => {
                faults.add(at, "unknown_node", format!("no node has the id {id:?}"));
                whole = false;
            }
        }
    }
    whole.then_some(parents)
}

/// A loop must not be inside itself. Each node is walked from once, up to one that is known.
fn check_nesting(parents: &[Option<usize>], faults: &mut Faults) {
    let mut good = vec![false; parents.len()];
    for start in 0..parents.len() {
        let mut way = Vec::new();
        let mut at = start;
        let ends = loop {
            if good[at] {
                break true;
            }
            if way.len() > parents.len() {
                break false;
            }
            way.push(at);
            match parents[at] {
                Some(parent) => at = parent,
                None => break true,
            }
        };
        if !ends {
            let message = "this loop is inside itself";
            return faults.add(format!("/nodes/{at}/parentId"), "loop_in_itself", message);
        }
        way.into_iter().for_each(|at| good[at] = true);
    }
}

fn check_bodies(
    definition: &Definition,
    graph: &Graph,
    ready: &[Option<Ready>],
    parents: &[Option<usize>],
    faults: &mut Faults,
) {
    let mut filled = vec![false; parents.len()];
    for (node, parent) in definition.nodes.iter().zip(parents) {
        if let Some(at) = parent.filter(|_| !nodes::is_remark(&node.kind)) {
            filled[at] = true;
        }
    }
    for (i, node) in definition.nodes.iter().enumerate() {
        let of_run = node.kind == "input" || nodes::gives_back(&node.kind);
        if node.parent.is_some() && of_run {
            let message = format!("a node of type {} cannot be inside a loop", node.kind);
            faults.add(format!("/nodes/{i}/parentId"), "not_in_loop", message);
        }
        let Some(flow) = ready[i].as_ref().map(|ready| &ready.flow) else {
            continue;
        };
        if flow.has_body() && !filled[i] {
            let message = format!("the loop is empty: no node has the parentId {:?}", node.id);
            faults.add(format!("/nodes/{i}"), "empty_loop", message);
        }
        if let Some(id) = flow.result()
            && graph.by_id.get(id).is_none_or(|&at| parents[at] != Some(i))
        {
            let message = format!("no node with the id {id:?} is inside this loop");
            faults.add(
                format!("/nodes/{i}/data/result"),
                "unknown_reference",
                message,
            );
        }
        if let Flow::While { .. } | Flow::Each { .. } = flow
            && ready[i]
                .as_ref()
                .is_some_and(|ready| ready.settings.cache.is_some())
        {
            let message = "only calls have results that are kept; put cache on the node inside";
            faults.add(format!("/nodes/{i}/data/cache"), "not_allowed", message);
        }
    }
}

/// A join must not wait for more edges than there are.
fn check_joins(
    definition: &Definition,
    graph: &Graph,
    ready: &[Option<Ready>],
    faults: &mut Faults,
) {
    for (i, node) in ready.iter().enumerate() {
        let join = node.as_ref().map(|node| node.join);
        let edges = graph.incoming[i].len();
        if let Some(Join::Count(count)) = join
            && count as usize > edges
            && definition.nodes[i].data["join"].is_number()
        {
            let message = format!("waits for {count} branches, but only {edges} edges end here");
            faults.add(format!("/nodes/{i}/data/join"), "out_of_range", message);
        }
    }
}
