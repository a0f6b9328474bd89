//! `GET /api/v1/traces/{trace_id}`

use crate::TracesRead;
use crate::load;
use crate::node::SpanNode;
use nodeai_app::Caller;
use nodeai_http::{Problem, money, reply::Json};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// A trace and its spans.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TraceTree {
    /// The trace's summary.
    trace: Map<String, Value>,
    /// Root spans, each with its children. A span whose parent is elsewhere is a root here.
    spans: Vec<SpanNode>,
}

/// One call reads trace and spans.
pub async fn handle(caller: Caller<TracesRead>) -> Result<Json<TraceTree>, Problem> {
    load::of_path(&caller)
        .await
        .map(|stored| Json::ok(stored.into()))
}

impl From<load::Stored> for TraceTree {
    fn from(stored: load::Stored) -> Self {
        Self {
            trace: with_money(stored.trace),
            spans: tree(stored.spans.into_iter().map(with_content).collect()),
        }
    }
}

/// What went in and came out, the same for every convention, beside the attributes as they came.
fn with_content(mut span: Map<String, Value>) -> Map<String, Value> {
    let content = span
        .get("attributes")
        .and_then(Value::as_object)
        .map(nodeai_otel::content_of);
    if let Some(content) = content.filter(|content| !content.is_empty()) {
        span.insert("content".into(), json!(content));
    }
    span
}

/// Cost for people beside the exact integer, durations in ms.
fn with_money(mut fields: Map<String, Value>) -> Map<String, Value> {
    if let Some(pico) = fields.remove("cost_pusd").and_then(|v| v.as_i64()) {
        fields.insert("cost_usd_micros".into(), json!(money::usd_micros(pico)));
        fields.insert("cost_usd".into(), json!(money::usd(pico)));
    }
    if let Some(us) = fields.remove("duration_us").and_then(|v| v.as_i64()) {
        fields.insert("duration_ms".into(), json!(us as f64 / 1000.0));
    }
    fields
}

/// Links spans to their parents. Iterative: a trace may be deep, and ingested ones may even hold a cycle.
fn tree(spans: Vec<Map<String, Value>>) -> Vec<SpanNode> {
    let id_of = |span: &Map<String, Value>, field: &str| {
        span.get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let order: Vec<String> = spans.iter().map(|span| id_of(span, "span_id")).collect();
    let known: HashSet<&String> = order.iter().collect();
    let parent: HashMap<String, String> = spans
        .iter()
        .map(|span| (id_of(span, "span_id"), id_of(span, "parent_span_id")))
        .filter(|(id, parent)| known.contains(parent) && id != parent)
        .collect();
    let depth = |id: &String| {
        let chain = std::iter::successors(parent.get(id), |p| parent.get(*p));
        chain.take(order.len() + 1).count()
    };
    let mut by_depth: Vec<(usize, String)> =
        order.iter().map(|id| (depth(id), id.clone())).collect();
    by_depth.sort_by(|a, b| b.0.cmp(&a.0));
    let mut nodes: HashMap<String, SpanNode> = spans
        .into_iter()
        .map(|span| {
            (
                id_of(&span, "span_id"),
                SpanNode {
                    span: with_money(span),
                    children: Vec::new(),
                },
            )
        })
        .collect();
    let position: HashMap<&String, usize> =
        order.iter().enumerate().map(|(i, id)| (id, i)).collect();
    for (depth, id) in by_depth {
        // A chain longer than the trace is a cycle: its members stay roots.
        if depth > order.len() {
            continue;
        }
        if let Some(parent_id) = parent.get(&id)
            && nodes.contains_key(parent_id)
            && let Some(node) = nodes.remove(&id)
            && let Some(above) = nodes.get_mut(parent_id)
        {
            above.children.push(node);
        }
    }
    for node in nodes.values_mut() {
        sort(node, &position);
    }
    order.iter().filter_map(|id| nodes.remove(id)).collect()
}

fn sort(root: &mut SpanNode, position: &HashMap<&String, usize>) {
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        node.children.sort_by_key(|child| {
            let id = child
                .span
                .get("span_id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            position.get(&id.to_owned()).copied()
        });
        stack.extend(node.children.iter_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str) -> Map<String, Value> {
        let span = json!({"span_id": id, "parent_span_id": parent, "duration_us": 1500});
        span.as_object().cloned().unwrap_or_default()
    }

    fn shape(nodes: &[SpanNode]) -> String {
        let parts: Vec<String> = nodes
            .iter()
            .map(|n| match n.children.is_empty() {
                true => n.span["span_id"].as_str().unwrap().to_owned(),
                false => format!(
                    "{}({})",
                    n.span["span_id"].as_str().unwrap(),
                    shape(&n.children)
                ),
            })
            .collect();
        parts.join(" ")
    }

    #[test]
    fn spans_hang_under_their_parents_in_order() {
        let spans = vec![
            span("a", ""),
            span("b", "a"),
            span("c", "a"),
            span("d", "c"),
            span("e", "a"),
        ];
        assert_eq!(shape(&tree(spans)), "a(b c(d) e)");
    }

    #[test]
    fn a_span_whose_parent_is_elsewhere_is_a_root() {
        assert_eq!(shape(&tree(vec![span("a", "x"), span("b", "a")])), "a(b)");
    }

    #[test]
    fn a_cycle_is_shown_and_does_not_hang() {
        let nodes = tree(vec![span("a", "b"), span("b", "a"), span("c", "c")]);
        assert_eq!(nodes.len(), 3);
    }

    #[test]
    fn durations_are_milliseconds() {
        assert_eq!(tree(vec![span("a", "")])[0].span["duration_ms"], 1.5);
    }
}
