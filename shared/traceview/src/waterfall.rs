//! The waterfall of a trace: one row a span, in order, with its own time and whether it is on the critical path.

use crate::span::{Span, Tree};
use serde::Serialize;
use std::collections::HashSet;

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row<'a> {
    /// The span.
    pub span_id: &'a str,
    /// Its parent here.
    pub parent_span_id: Option<&'a str>,
    /// Name.
    pub name: &'a str,
    /// How deep it is, from 0.
    pub depth: usize,
    /// `ok`, `error` or `unset`.
    pub status: &'a str,
    /// The node.
    pub node_id: Option<&'a str>,
    /// The model.
    pub model: Option<&'a str>,
    /// From the trace's start, µs.
    pub offset_us: i64,
    /// µs.
    pub duration_us: i64,
    /// The time in which none of its children was at work, µs.
    pub self_us: i64,
    /// Whether the trace would have been shorter, had this been.
    pub critical: bool,
}

/// A piece of the critical path: who held the trace up from when to when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Piece<'a> {
    /// The span.
    pub span_id: &'a str,
    /// Name.
    pub name: &'a str,
    /// From the trace's start, µs.
    pub offset_us: i64,
    /// µs.
    pub duration_us: i64,
}

/// The waterfall.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waterfall<'a> {
    /// Start of the trace, µs since the Unix epoch.
    pub start_us: i64,
    /// µs.
    pub duration_us: i64,
    /// The rows.
    pub rows: Vec<Row<'a>>,
    /// The critical path of the first root; its pieces add up to the root's duration.
    pub critical_path: Vec<Piece<'a>>,
}

/// Makes the waterfall.
pub fn waterfall(spans: &[Span]) -> Waterfall<'_> {
    let tree = Tree::of(spans);
    let start_us = spans.iter().map(|s| s.start_us).min().unwrap_or(0);
    let end_us = spans.iter().map(|s| s.end_us).max().unwrap_or(start_us);
    let pieces = tree
        .roots
        .first()
        .map(|root| critical(spans, &tree, *root))
        .unwrap_or_default();
    let on_path: HashSet<usize> = pieces.iter().map(|(i, ..)| *i).collect();
    let rows = tree.order.iter().map(|&(i, depth)| {
        let span = &spans[i];
        Row {
            span_id: &span.span_id,
            parent_span_id: span.parent_span_id.as_deref(),
            name: &span.name,
            depth,
            status: &span.status,
            node_id: span.node_id.as_deref(),
            model: span.model.as_deref(),
            offset_us: span.start_us - start_us,
            duration_us: span.duration_us(),
            self_us: own_time(spans, &tree.children[i], span),
            critical: on_path.contains(&i),
        }
    });
    let critical_path = pieces.iter().map(|&(i, from, to)| Piece {
        span_id: &spans[i].span_id,
        name: &spans[i].name,
        offset_us: from - start_us,
        duration_us: to - from,
    });
    Waterfall {
        start_us,
        duration_us: (end_us - start_us).max(0),
        rows: rows.collect(),
        critical_path: critical_path.collect(),
    }
}

/// The span's duration without the union of its children's.
fn own_time(spans: &[Span], children: &[usize], span: &Span) -> i64 {
    let mut covered = 0;
    let mut until = span.start_us;
    for child in children {
        let from = spans[*child].start_us.max(until);
        let to = spans[*child].end_us.min(span.end_us);
        if to > from {
            covered += to - from;
            until = to;
        }
    }
    (span.duration_us() - covered).max(0)
}

/// Walks back from the root's end: what ended last before `until` held it up (Yang, Miller, ICDCS 1988, as Jaeger's
/// critical path does it). Pieces in order of time: (span, from, to).
fn critical(spans: &[Span], tree: &Tree, root: usize) -> Vec<(usize, i64, i64)> {
    let mut pieces = Vec::new();
    let mut stack = vec![(root, spans[root].start_us, spans[root].end_us)];
    let mut entered = HashSet::from([root]);
    while let Some((i, from, until)) = stack.pop() {
        let last = tree.children[i]
            .iter()
            .filter(|c| {
                spans[**c].start_us < until && spans[**c].start_us >= from && !entered.contains(c)
            })
            .max_by_key(|c| (spans[**c].end_us.min(until), spans[**c].start_us));
        match last {
            Some(&child) => {
                entered.insert(child);
                let end = spans[child].end_us.min(until);
                if end < until {
                    pieces.push((i, end, until));
                }
                // First the child, then what of the span lies before it.
                stack.push((i, from, spans[child].start_us));
                stack.push((child, spans[child].start_us, end));
            }
            None if until > from => pieces.push((i, from, until)),
            None => {}
        }
    }
    pieces.reverse();
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: Option<&str>, start_us: i64, end_us: i64) -> Span {
        Span {
            span_id: id.into(),
            parent_span_id: parent.map(str::to_owned),
            name: id.into(),
            status: "ok".into(),
            start_us,
            end_us,
            ..Span::default()
        }
    }

    fn path(spans: &[Span]) -> Vec<(String, i64, i64)> {
        let pieces = waterfall(spans).critical_path;
        pieces
            .iter()
            .map(|p| (p.name.to_owned(), p.offset_us, p.duration_us))
            .collect()
    }

    #[test]
    fn the_slower_of_two_branches_is_critical() {
        let spans = [
            span("r", None, 0, 100),
            span("a", Some("r"), 10, 40),
            span("b", Some("r"), 10, 60),
            span("c", Some("r"), 60, 90),
        ];
        let want = [("r", 0, 10), ("b", 10, 50), ("c", 60, 30), ("r", 90, 10)];
        assert_eq!(path(&spans), want.map(|(n, o, d)| (n.to_owned(), o, d)));
        let rows = waterfall(&spans).rows;
        assert_eq!(
            rows.iter().map(|r| r.critical).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        assert_eq!(rows[0].self_us, 20, "nothing was at work for 20 µs");
    }

    #[test]
    fn the_pieces_add_up_to_the_root_whatever_the_tree() {
        // A linear congruential generator: the same trees every time.
        let mut seed = 7_u64;
        let mut next = |most: i64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as i64 % most.max(1)
        };
        for _ in 0..200 {
            let mut spans = vec![span("s0", None, 0, 1_000)];
            for i in 1..30 {
                let parent = next(i) as usize;
                let (from, to) = (spans[parent].start_us, spans[parent].end_us);
                let start = from + next(to - from);
                let end = start + next(to - start + 20);
                spans.push(span(
                    &format!("s{i}"),
                    Some(&format!("s{parent}")),
                    start,
                    end,
                ));
            }
            let waterfall = waterfall(&spans);
            let pieces = &waterfall.critical_path;
            assert_eq!(pieces.iter().map(|p| p.duration_us).sum::<i64>(), 1_000);
            assert!(
                pieces
                    .windows(2)
                    .all(|w| w[0].offset_us + w[0].duration_us == w[1].offset_us)
            );
        }
    }

    #[test]
    fn a_cycle_and_an_empty_trace_have_a_waterfall() {
        let spans = [span("a", Some("b"), 0, 1), span("b", Some("a"), 0, 1)];
        assert_eq!(waterfall(&spans).rows.len(), 2);
        assert_eq!(waterfall(&[]).rows.len(), 0);
    }

    #[test]
    fn ten_thousand_spans_in_a_chain_are_no_stack() {
        let spans: Vec<Span> = (0..10_000)
            .map(|i| {
                span(
                    &format!("{i}"),
                    (i > 0).then(|| format!("{}", i - 1)).as_deref(),
                    i,
                    20_000 - i,
                )
            })
            .collect();
        assert_eq!(waterfall(&spans).rows[9_999].depth, 9_999);
    }
}
