//! The graph of a document: adjacency, order, ancestors. Every walk is iterative.

use std::collections::HashMap;

use crate::document::{Definition, Edge};

/// An edge by positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) source: usize,
    pub(crate) handle: String,
    pub(crate) target: usize,
}

/// Nodes and edges by position in the document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    pub(crate) ids: Vec<String>,
    pub(crate) by_id: HashMap<String, usize>,
    pub(crate) links: Vec<Link>,
    /// For each node the links that end there, in document order.
    pub(crate) incoming: Vec<Vec<usize>>,
    /// For each node the links that start there, in document order.
    pub(crate) outgoing: Vec<Vec<usize>>,
}

/// The handle that an edge without `sourceHandle` starts from.
pub(crate) const DEFAULT_HANDLE: &str = "output";

impl Graph {
    /// Builds the graph of a whole document. Edges to nowhere are left out; validation
    /// reports them.
    pub(crate) fn of(definition: &Definition) -> Self {
        let ids = definition.nodes.iter().map(|node| node.id.clone());
        Self::new(ids.collect(), definition.edges.iter())
    }

    /// Builds a graph of these nodes.
    pub(crate) fn new<'a>(ids: Vec<String>, edges: impl Iterator<Item = &'a Edge>) -> Self {
        let by_id: HashMap<String, usize> = ids
            .iter()
            .enumerate()
            .rev()
            .map(|(i, id)| (id.clone(), i))
            .collect();
        let mut graph = Self {
            incoming: vec![Vec::new(); ids.len()],
            outgoing: vec![Vec::new(); ids.len()],
            links: Vec::new(),
            ids,
            by_id,
        };
        for edge in edges {
            let ends = (graph.by_id.get(&edge.source), graph.by_id.get(&edge.target));
            if let (Some(&source), Some(&target)) = ends {
                let handle = edge
                    .source_handle
                    .as_deref()
                    .unwrap_or(DEFAULT_HANDLE)
                    .to_owned();
                graph.incoming[target].push(graph.links.len());
                graph.outgoing[source].push(graph.links.len());
                graph.links.push(Link {
                    source,
                    handle,
                    target,
                });
            }
        }
        graph
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The nodes in an order in which every edge points forward, or one cycle.
    pub(crate) fn order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut waiting: Vec<usize> = self.incoming.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..self.len()).filter(|&node| waiting[node] == 0).collect();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for &link in &self.outgoing[node] {
                let target = self.links[link].target;
                waiting[target] -= 1;
                if waiting[target] == 0 {
                    order.push(target);
                }
            }
        }
        if order.len() == self.len() {
            Ok(order)
        } else {
            Err(self.cycle(&waiting))
        }
    }

    /// Walks backwards among the nodes that are left: each has a predecessor there, so the
    /// walk must come round.
    fn cycle(&self, waiting: &[usize]) -> Vec<usize> {
        let mut at = waiting.iter().position(|&count| count > 0).unwrap_or(0);
        let mut seen = vec![false; self.len()];
        let mut path = Vec::new();
        while !seen[at] {
            seen[at] = true;
            path.push(at);
            let before = self.incoming[at]
                .iter()
                .map(|&link| self.links[link].source);
            at = before
                .into_iter()
                .find(|&node| waiting[node] > 0)
                .unwrap_or(at);
        }
        let start = path.iter().position(|&node| node == at).unwrap_or(0);
        let mut cycle = path.split_off(start);
        cycle.reverse();
        cycle
    }

    /// Which nodes can be reached from any of `starts`.
    pub(crate) fn reachable(&self, starts: &[usize]) -> Vec<bool> {
        let mut seen = vec![false; self.len()];
        let mut stack = starts.to_vec();
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                stack.extend(
                    self.outgoing[node]
                        .iter()
                        .map(|&link| self.links[link].target),
                );
            }
        }
        seen
    }

    /// For each node the set of nodes upstream of it. `order` is from [`Graph::order`].
    pub(crate) fn ancestors(&self, order: &[usize]) -> Vec<BitSet> {
        let mut sets = vec![BitSet::with_room_for(self.len()); self.len()];
        for &node in order {
            let mut own = std::mem::take(&mut sets[node]);
            for &link in &self.incoming[node] {
                let source = self.links[link].source;
                own.insert(source);
                own.unite(&sets[source]);
            }
            sets[node] = own;
        }
        sets
    }
}

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BitSet(Vec<u64>);

impl BitSet {
    fn with_room_for(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn insert(&mut self, item: usize) {
        self.0[item / 64] |= 1 << (item % 64);
    }

    fn unite(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(&other.0)
            .for_each(|(own, theirs)| *own |= theirs);
    }

    pub(crate) fn contains(&self, item: usize) -> bool {
        self.0
            .get(item / 64)
            .is_some_and(|word| word & (1 << (item % 64)) != 0)
    }
}
