//! What the views need of a span.

use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// A span as the store gives it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Span {
    /// 16 hex digits.
    pub span_id: String,
    /// The span that it is part of.
    #[serde(default)]
    pub parent_span_id: Option<String>,
    /// Name.
    pub name: String,
    /// The workflow's node.
    #[serde(default)]
    pub node_id: Option<String>,
    /// The node's type.
    #[serde(default)]
    pub node_type: Option<String>,
    /// Which attempt at the node.
    #[serde(default)]
    pub attempt: Option<i64>,
    /// `ok`, `error` or `unset`.
    pub status: String,
    /// Start, µs since the Unix epoch.
    pub start_us: i64,
    /// End, µs since the Unix epoch.
    pub end_us: i64,
    /// Model.
    #[serde(default)]
    pub model: Option<String>,
    /// Tokens read.
    #[serde(default)]
    pub prompt_tokens: Option<i64>,
    /// Tokens written.
    #[serde(default)]
    pub completion_tokens: Option<i64>,
    /// Pico-USD.
    #[serde(default)]
    pub cost_pusd: Option<i64>,
    /// As what it is counted: `run`, `model`, `retrieval`, `tool`, `node`.
    #[serde(default)]
    pub measure: Option<String>,
}

impl Span {
    /// µs, never negative.
    pub fn duration_us(&self) -> i64 {
        self.end_us.saturating_sub(self.start_us).max(0)
    }
}

/// The tree of a trace, by index. A span whose parent is elsewhere is a root; so is one member of each cycle.
pub struct Tree {
    /// Roots, by start.
    pub roots: Vec<usize>,
    /// Children of each span, by start.
    pub children: Vec<Vec<usize>>,
    /// All spans from the roots down, each before its children, with its depth.
    pub order: Vec<(usize, usize)>,
}

impl Tree {
    /// Builds the tree; never recursive, since a trace may be deep.
    pub fn of(spans: &[Span]) -> Self {
        let place: HashMap<&str, usize> = spans
            .iter()
            .enumerate()
            .map(|(i, s)| (s.span_id.as_str(), i))
            .collect();
        let mut children = vec![Vec::new(); spans.len()];
        let mut roots = Vec::new();
        for (i, span) in spans.iter().enumerate() {
            let parent = span
                .parent_span_id
                .as_deref()
                .and_then(|id| place.get(id).copied());
            match parent.filter(|parent| *parent != i) {
                Some(parent) => children[parent].push(i),
                None => roots.push(i),
            }
        }
        let by_start = |list: &mut Vec<usize>| {
            list.sort_by_key(|i| (spans[*i].start_us, spans[*i].span_id.clone()))
        };
        by_start(&mut roots);
        children.iter_mut().for_each(by_start);
        let mut order = Vec::with_capacity(spans.len());
        let mut seen = HashSet::new();
        let mut visit = |root: usize, order: &mut Vec<(usize, usize)>| {
            let mut stack = vec![(root, 0)];
            while let Some((i, depth)) = stack.pop() {
                if seen.insert(i) {
                    order.push((i, depth));
                    stack.extend(children[i].iter().rev().map(|child| (*child, depth + 1)));
                }
            }
        };
        roots.iter().for_each(|root| visit(*root, &mut order));
        // What no root leads to is in a cycle, or below one.
        let mut cut = Vec::new();
        for i in 0..spans.len() {
            let before = order.len();
            visit(i, &mut order);
            if order.len() > before {
                cut.push(i);
            }
        }
        roots.extend(cut);
        Self {
            roots,
            children,
            order,
        }
    }
}
