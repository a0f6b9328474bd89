//! What the edges and the graph as a whole must be.

use crate::document::{Definition, Edge, Node};
use crate::fault::Faults;
use crate::graph::{DEFAULT_HANDLE, Graph};
use crate::nodes;
use crate::plan::Ready;
use crate::settings::OnError;

pub(super) fn check_edges(
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
            let data = &definition.nodes[source.at].data;
            let own = nodes::own_handles(&source.kind.spec.kind, data);
            check_source(edge, source, &own, &at, faults);
        }
        if let Some(target) = node(&edge.target) {
            check_target(edge, target, &at, faults);
        }
    }
}

fn check_source(edge: &Edge, source: &Ready, own: &[&str], at: &str, faults: &mut Faults) {
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
        .chain(own.iter().copied())
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
    } else if !handles.contains(&handle) && !nodes::has_open_handles(&source.kind.spec.kind) {
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

/// What only the graph as a whole shows. `loops_fit` says that every `parentId` makes sense.
pub(super) fn check_shape(
    definition: &Definition,
    graph: &Graph,
    ready: &[Option<Ready>],
    loops_fit: bool,
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
    if faults.any(&["unknown_node", "duplicate_id"]) || !loops_fit {
        return;
    }
    let order = match graph.order() {
        Ok(order) => order,
        Err(cycle) => return report_cycle(graph, &cycle, faults),
    };
    // Where a loop's body begins is reached through the loop.
    let mut starts = inputs.clone();
    let nodes = definition.nodes.iter().enumerate();
    starts.extend(
        nodes
            .filter(|(i, node)| node.parent.is_some() && graph.incoming[*i].is_empty())
            .map(|(i, _)| i),
    );
    let reachable = graph.reachable(&starts);
    for (i, _) in reachable
        .iter()
        .enumerate()
        .filter(|(_, reached)| !**reached && !inputs.is_empty())
        .filter(|(i, _)| !nodes::is_remark(&definition.nodes[*i].kind))
    {
        let message = format!("{:?} cannot be reached from an input node", graph.ids[i]);
        faults.add(format!("/nodes/{i}"), "unreachable", message);
    }
    check_references(definition, graph, &order, ready, faults);
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

fn check_references(
    definition: &Definition,
    graph: &Graph,
    order: &[usize],
    ready: &[Option<Ready>],
    faults: &mut Faults,
) {
    let upstream = graph.ancestors(order);
    let parent = |at: usize| {
        let parent = definition.nodes[at].parent.as_ref();
        parent.and_then(|id| graph.by_id.get(id).copied())
    };
    // Upstream of the node itself, or of a loop that it is in.
    let sees = |node: usize, other: usize| {
        let mut homes = std::iter::successors(Some(node), |&at| parent(at));
        homes.any(|at| upstream[at].contains(other))
    };
    for (i, node) in ready.iter().enumerate() {
        for id in node.iter().flat_map(|node| &node.references.waits) {
            let at = format!("/nodes/{i}/data");
            let waits = graph.by_id.get(id).filter(|&&other| {
                let node = &definition.nodes[other];
                node.kind == "wait" && node.data.contains_key("webhook")
            });
            let Some(&other) = waits else {
                let message = format!(
                    "waits.{id} is used, but no node of type wait with webhook has that id"
                );
                faults.add(at, "unknown_reference", message);
                continue;
            };
            // Which iteration would be meant?
            let home = parent(other);
            let mut homes = std::iter::successors(parent(i), |&at| parent(at));
            if home.is_some_and(|home| !homes.any(|at| at == home)) {
                let message = format!("waits.{id} is used, but {id:?} is inside of a loop");
                faults.add(at, "inside_loop", message);
            }
        }
        for id in node.iter().flat_map(|node| &node.references.nodes) {
            let at = format!("/nodes/{i}/data");
            let Some(&other) = graph.by_id.get(id) else {
                let message = format!("nodes.{id} is used, but no node has the id {id:?}");
                faults.add(at, "unknown_reference", message);
                continue;
            };
            if sees(i, other) {
                continue;
            }
            let home = parent(other).filter(|&home| {
                !std::iter::successors(parent(i), |&at| parent(at)).any(|at| at == home)
            });
            match home {
                Some(home) => {
                    let message = format!(
                        "nodes.{id} is used, but {id:?} is inside the loop {0:?}; its results are in nodes.{0}.output",
                        graph.ids[home]
                    );
                    faults.add(at, "inside_loop", message);
                }
                None => {
                    let message =
                        format!("nodes.{id} is used, but {id:?} does not run before this node");
                    faults.add(at, "not_upstream", message);
                }
            }
        }
    }
}
