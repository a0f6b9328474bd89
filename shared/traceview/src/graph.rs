//! A trace as a graph of steps: spans of the same node, or of the same name where there is no node, are one step.

use crate::span::{Span, Tree};
use serde::Serialize;
use std::collections::BTreeMap;

/// A step.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Step {
    /// The node's id, else the span's name.
    pub id: String,
    /// The node's type.
    pub node_type: Option<String>,
    /// How many spans.
    pub spans: usize,
    /// How many of them failed.
    pub errors: usize,
    /// Sum of their durations, µs.
    pub duration_us: i64,
    /// Sum of their costs, pico-USD.
    pub cost_pusd: i64,
    /// Sum of their tokens.
    pub tokens: i64,
}

/// That a step was inside another one, or came after it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Edge {
    /// From this step.
    pub from: String,
    /// To this one.
    pub to: String,
    /// `child`: the spans of `to` are inside those of `from`; `next`: they began when those had ended.
    pub kind: &'static str,
    /// How often.
    pub count: usize,
}

/// Steps and edges.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Graph {
    /// In the order of their first start.
    pub nodes: Vec<Step>,
    /// By step.
    pub edges: Vec<Edge>,
}

/// The step that a span belongs to.
pub fn step_of(span: &Span) -> &str {
    match span.node_id.as_deref() {
        Some(id) if !id.is_empty() => id,
        _ => &span.name,
    }
}

/// Makes the graph.
pub fn graph(spans: &[Span]) -> Graph {
    let tree = Tree::of(spans);
    let mut nodes: Vec<Step> = Vec::new();
    let mut place: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, _) in &tree.order {
        let span = &spans[*i];
        let at = *place.entry(step_of(span)).or_insert_with(|| {
            nodes.push(Step {
                id: step_of(span).to_owned(),
                node_type: span.node_type.clone(),
                ..Step::default()
            });
            nodes.len() - 1
        });
        let step = &mut nodes[at];
        step.spans += 1;
        step.errors += usize::from(span.status == "error");
        step.duration_us += span.duration_us();
        step.cost_pusd = step.cost_pusd.saturating_add(span.cost_pusd.unwrap_or(0));
        step.tokens += span.prompt_tokens.unwrap_or(0) + span.completion_tokens.unwrap_or(0);
    }
    let mut edges: BTreeMap<(&str, &str, &'static str), usize> = BTreeMap::new();
    for (i, children) in tree.children.iter().enumerate() {
        for child in children {
            *edges
                .entry((step_of(&spans[i]), step_of(&spans[*child]), "child"))
                .or_default() += 1;
        }
        follow(spans, children, &mut edges);
    }
    let edges = edges.into_iter().map(|((from, to, kind), count)| Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        kind,
        count,
    });
    Graph {
        nodes,
        edges: edges.collect(),
    }
}

/// Each child follows the sibling that ended last before it began.
fn follow<'a>(
    spans: &'a [Span],
    children: &[usize],
    edges: &mut BTreeMap<(&'a str, &'a str, &'static str), usize>,
) {
    let mut ended: Vec<usize> = children.to_vec();
    ended.sort_by_key(|i| spans[*i].end_us);
    for child in children {
        let before = ended.partition_point(|i| spans[*i].end_us <= spans[*child].start_us);
        let last = ended[..before].iter().rev().find(|i| *i != child);
        if let Some(last) = last {
            let key = (step_of(&spans[*last]), step_of(&spans[*child]), "next");
            *edges.entry(key).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(
        id: &str,
        parent: Option<&str>,
        node: Option<&str>,
        start_us: i64,
        end_us: i64,
    ) -> Span {
        Span {
            span_id: id.into(),
            parent_span_id: parent.map(str::to_owned),
            name: format!("span {id}"),
            node_id: node.map(str::to_owned),
            status: "ok".into(),
            start_us,
            end_us,
            cost_pusd: Some(5),
            ..Span::default()
        }
    }

    #[test]
    fn attempts_at_a_node_are_one_step_and_order_gives_edges() {
        let graph = graph(&[
            span("r", None, None, 0, 100),
            span("a", Some("r"), Some("ask"), 0, 10),
            span("b", Some("r"), Some("ask"), 20, 30),
            span("c", Some("r"), Some("out"), 30, 40),
        ]);
        let ask = graph.nodes.iter().find(|step| step.id == "ask").unwrap();
        assert_eq!((ask.spans, ask.cost_pusd, ask.duration_us), (2, 10, 20));
        let edge = |from: &str, to: &str| {
            graph
                .edges
                .iter()
                .find(|e| e.from == from && e.to == to)
                .map(|e| (e.kind, e.count))
        };
        assert_eq!(edge("span r", "ask"), Some(("child", 2)));
        assert_eq!(edge("ask", "out"), Some(("next", 1)));
        assert_eq!(edge("ask", "ask"), Some(("next", 1)));
    }
}
