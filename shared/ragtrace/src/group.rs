//! Which spans belong to one query.

use crate::query::Kind;
use crate::read::{Raw, read};
use crate::role::{Role, role};
use crate::span::Span;
use nodeai_traceview::span::Tree;

/// The spans of one query, as places in the trace's list.
#[derive(Debug, Default)]
pub struct Group {
    /// The span around all of it; none when the trace has several roots.
    pub root: Option<usize>,
    /// Stages, by their end.
    pub stages: Vec<(usize, Raw)>,
    /// Calls that write and have no other inside, by their start.
    pub models: Vec<usize>,
    /// Calls that write within a stage, such as those that rewrite a question.
    pub inner: Vec<usize>,
    /// All of it, by start.
    pub members: Vec<usize>,
}

/// What is below a span and in no query yet.
#[derive(Debug, Default)]
struct Free {
    stages: Vec<(usize, Raw)>,
    models: Vec<usize>,
    inner: Vec<usize>,
    members: Vec<usize>,
    has_model: bool,
}

impl Free {
    fn add(&mut self, other: Self) {
        self.stages.extend(other.stages);
        self.models.extend(other.models);
        self.inner.extend(other.inner);
        self.members.extend(other.members);
        self.has_model |= other.has_model;
    }

    /// Whether a model is asked after a stage has begun.
    fn is_query(&self, spans: &[Span]) -> bool {
        let first = self
            .stages
            .iter()
            .map(|(i, _)| spans[*i].base.start_us)
            .min();
        let last = self.models.iter().map(|i| spans[*i].base.start_us).max();
        first.zip(last).is_some_and(|(first, last)| last >= first)
    }

    fn into_group(mut self, spans: &[Span], root: Option<usize>) -> Group {
        let end = |i: usize| {
            (
                spans[i].base.end_us,
                std::cmp::Reverse(spans[i].base.start_us),
            )
        };
        self.stages.sort_by_key(|(i, _)| end(*i));
        self.models.sort_by_key(|i| spans[*i].base.start_us);
        self.members.sort_by_key(|i| spans[*i].base.start_us);
        Group {
            root,
            stages: self.stages,
            models: self.models,
            inner: self.inner,
            members: self.members,
        }
    }
}

/// The queries of a trace, by their start. From the leaves up: the smallest span with a stage and a later call of a model
/// is a query; what is left in the end is one without an answer.
pub fn groups(spans: &[Span]) -> Vec<Group> {
    let bases: Vec<nodeai_traceview::Span> = spans.iter().map(|span| span.base.clone()).collect();
    let tree = Tree::of(&bases);
    let mut place = vec![0; spans.len()];
    for (at, (i, _)) in tree.order.iter().enumerate() {
        place[*i] = at;
    }
    let mut free: Vec<Option<Free>> = spans.iter().map(|_| None).collect();
    let mut groups = Vec::new();
    let mut left = Free::default();
    for &(i, depth) in tree.order.iter().rev() {
        let mut below = Free::default();
        // In a cycle, one of the members comes before the span that is its parent.
        for child in tree.children[i]
            .iter()
            .filter(|child| place[**child] > place[i])
        {
            below.add(free[*child].take().unwrap_or_default());
        }
        let here = with_own(below, spans, i);
        if here.is_query(spans) {
            groups.push(here.into_group(spans, Some(i)));
        } else if depth == 0 {
            let is_only = tree.roots.len() == 1;
            match is_only && !here.stages.is_empty() {
                true => groups.push(here.into_group(spans, Some(i))),
                false => left.add(here),
            }
        } else {
            free[i] = Some(here);
        }
    }
    if !left.stages.is_empty() {
        groups.push(left.into_group(spans, None));
    }
    groups.sort_by_key(|group| group.members.iter().map(|i| spans[*i].base.start_us).min());
    groups
}

fn with_own(mut below: Free, spans: &[Span], i: usize) -> Free {
    below.members.push(i);
    match role(&spans[i]) {
        Role::Stage { kind, sure } => {
            if let Some(raw) = read(&spans[i], kind, sure) {
                // What a model says within a stage is part of the stage, not an answer.
                below.inner.append(&mut below.models);
                if let Some(raw) = around(raw, &below.stages) {
                    below.stages.push((i, raw));
                }
            }
        }
        // A span around other calls of models, or around stages, is a wrapper.
        Role::Model if !below.has_model && below.stages.is_empty() => {
            below.models.push(i);
            below.has_model = true;
        }
        Role::Model | Role::Embedding | Role::Other => {}
    }
    below
}

/// A retriever around others: of several it makes one list, of one it keeps some. None when it says the same again.
fn around(mut raw: Raw, inside: &[(usize, Raw)]) -> Option<Raw> {
    let Some((_, last)) = inside.last() else {
        return Some(raw);
    };
    if inside.iter().any(|(_, one)| one.gave == raw.gave) && raw.kind == Kind::Retrieval {
        return None;
    }
    if raw.kind == Kind::Retrieval {
        let retrievals = inside.iter().filter(|(_, one)| one.kind == Kind::Retrieval);
        let are_all = last.kind == Kind::Retrieval;
        raw.kind = match retrievals.count() > 1 && are_all {
            true => Kind::Fusion,
            false => Kind::Select,
        };
    }
    Some(raw)
}
