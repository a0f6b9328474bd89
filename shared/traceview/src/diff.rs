//! Two traces, step by step: spans of the same node (or name), in order of their start, are each other's counterparts.

use crate::graph::step_of;
use crate::span::Span;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one side did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The span.
    pub span_id: String,
    /// `ok`, `error` or `unset`.
    pub status: String,
    /// µs.
    pub duration_us: i64,
    /// The model.
    pub model: Option<String>,
    /// Tokens read and written.
    pub tokens: i64,
    /// Pico-USD, null where it is not known.
    pub cost_pusd: Option<i64>,
}

/// A pair, or what only one trace has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The node's id, else the span's name.
    pub step: String,
    /// Which of the step's spans, from 1.
    pub number: usize,
    /// `both`, `only_a` or `only_b`.
    pub found: &'static str,
    /// What differs: `status`, `model`, `tokens`, `cost`. Durations differ always.
    pub changed: Vec<&'static str>,
    /// In the first trace.
    pub a: Option<Side>,
    /// In the second.
    pub b: Option<Side>,
}

/// Aligns two traces; in the order of the first one's starts, then what only the second has.
pub fn diff(a: &[Span], b: &[Span]) -> Vec<Pair> {
    let (left, right) = (steps(a), steps(b));
    let mut pairs = Vec::new();
    for (key, span) in &left.1 {
        let other = right.0.get(key).copied();
        pairs.push(pair(key, Some(*span), other));
    }
    let only = right.1.iter().filter(|(key, _)| !left.0.contains_key(key));
    pairs.extend(only.map(|(key, span)| pair(key, None, Some(*span))));
    pairs
}

type Key<'a> = (&'a str, usize);

/// Spans by step and number, and in order.
fn steps(spans: &[Span]) -> (BTreeMap<Key<'_>, &Span>, Vec<(Key<'_>, &Span)>) {
    let mut ordered: Vec<&Span> = spans.iter().collect();
    ordered.sort_by_key(|span| {
        (
            span.start_us,
            std::cmp::Reverse(span.end_us),
            span.span_id.clone(),
        )
    });
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut list = Vec::new();
    for span in ordered {
        let count = counts.entry(step_of(span)).or_default();
        *count += 1;
        list.push(((step_of(span), *count), span));
    }
    (list.iter().copied().collect(), list)
}

fn pair((step, number): &Key<'_>, a: Option<&Span>, b: Option<&Span>) -> Pair {
    let (a, b) = (a.map(side), b.map(side));
    let changed = match (&a, &b) {
        (Some(a), Some(b)) => {
            let all = [
                ("status", a.status != b.status),
                ("model", a.model != b.model),
                ("tokens", a.tokens != b.tokens),
                ("cost", a.cost_pusd != b.cost_pusd),
            ];
            all.into_iter()
                .filter(|(_, differs)| *differs)
                .map(|(what, _)| what)
                .collect()
        }
        _ => Vec::new(),
    };
    Pair {
        step: (*step).to_owned(),
        number: *number,
        found: match (&a, &b) {
            (Some(_), Some(_)) => "both",
            (Some(_), None) => "only_a",
            _ => "only_b",
        },
        changed,
        a,
        b,
    }
}

fn side(span: &Span) -> Side {
    Side {
        span_id: span.span_id.clone(),
        status: span.status.clone(),
        duration_us: span.duration_us(),
        model: span.model.clone(),
        tokens: span.prompt_tokens.unwrap_or(0) + span.completion_tokens.unwrap_or(0),
        cost_pusd: span.cost_pusd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, node: &str, start_us: i64, model: &str) -> Span {
        Span {
            span_id: id.into(),
            name: node.into(),
            node_id: Some(node.into()),
            status: "ok".into(),
            start_us,
            end_us: start_us + 10,
            model: Some(model.into()),
            ..Span::default()
        }
    }

    #[test]
    fn nodes_are_aligned_and_what_is_missing_is_said() {
        let a = [
            span("1", "ask", 0, "x"),
            span("2", "ask", 20, "x"),
            span("3", "old", 40, "x"),
        ];
        let b = [span("4", "ask", 0, "y"), span("5", "new", 20, "x")];
        let pairs = diff(&a, &b);
        let told: Vec<_> = pairs
            .iter()
            .map(|p| (p.step.as_str(), p.number, p.found))
            .collect();
        assert_eq!(
            told,
            [
                ("ask", 1, "both"),
                ("ask", 2, "only_a"),
                ("old", 1, "only_a"),
                ("new", 1, "only_b")
            ]
        );
        assert_eq!(pairs[0].changed, ["model"]);
    }

    #[test]
    fn a_trace_does_not_differ_from_itself() {
        let a = [span("1", "ask", 0, "x"), span("2", "ask", 0, "x")];
        assert!(
            diff(&a, &a)
                .iter()
                .all(|p| p.found == "both" && p.changed.is_empty())
        );
    }
}
