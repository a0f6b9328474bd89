//! What holds for all documents: random edits of a workflow of 200 nodes, and documents out of shape.

mod support;

use nodeai_versions::{Diff, apply, diff, merge};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use support::{ANYONE, Side, edit, edited, odd_document, workflow};

const SIZE: usize = 200;
const OURS: Side = Side {
    name: "ours",
    half: Some(0),
};
const THEIRS: Side = Side {
    name: "theirs",
    half: Some(1),
};

fn by_id<'a>(document: &'a Value, list: &str) -> HashMap<String, &'a Value> {
    let elements = document[list].as_array().unwrap();
    let key = |e: &Value| match e["id"].as_str() {
        Some(id) => id.to_owned(),
        None => format!("{}>{}", e["source"], e["target"]),
    };
    elements.iter().map(|e| (key(e), e)).collect()
}

/// Applies the diff as a client gets it: over JSON text.
fn patched(a: &Value, b: &Value) -> Value {
    let text = serde_json::to_string(&diff(a, b)).unwrap();
    let diff: Diff = serde_json::from_str(&text).unwrap();
    apply(&diff, a).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_a_diff_gives_the_other_document(first in vec(edit(), 0..20), second in vec(edit(), 0..40)) {
        let a = edited(&workflow(SIZE), &first, ANYONE);
        let b = edited(&a, &second, Side { name: "second", half: None });
        prop_assert_eq!(patched(&a, &b), b.clone());
        prop_assert_eq!(patched(&b, &a), a.clone());
        prop_assert!(diff(&a, &a).is_empty());
    }

    #[test]
    fn merging_with_an_unchanged_side_gives_the_changed_one(edits in vec(edit(), 0..40)) {
        let base = workflow(SIZE);
        let changed = edited(&base, &edits, ANYONE);
        for (ours, theirs) in [(&base, &changed), (&changed, &base), (&changed, &changed)] {
            let merged = merge(&base, ours, theirs);
            prop_assert_eq!(merged.conflicts, vec![]);
            prop_assert_eq!(&merged.definition, &changed);
        }
    }

    #[test]
    fn disjoint_edits_never_conflict(ours in vec(edit(), 0..40), theirs in vec(edit(), 0..40)) {
        let base = workflow(SIZE);
        let (a, b) = (edited(&base, &ours, OURS), edited(&base, &theirs, THEIRS));
        let merged = merge(&base, &a, &b);
        prop_assert_eq!(&merged.conflicts, &vec![]);
        let swapped = merge(&base, &b, &a);
        prop_assert_eq!(&swapped.conflicts, &vec![]);
        // Every node is as its side left it, wherever it stands in the list.
        let nodes = by_id(&merged.definition, "nodes");
        prop_assert_eq!(&nodes, &by_id(&swapped.definition, "nodes"));
        for (side, document) in [(OURS, &a), (THEIRS, &b)] {
            let own = by_id(document, "nodes").into_iter().filter(|(id, _)| side.owns(id) || id.starts_with(side.name));
            for (id, node) in own {
                prop_assert_eq!(nodes.get(&id), Some(&node), "{}", id);
            }
        }
        let gone = |id: &str| !by_id(&a, "nodes").contains_key(id) || !by_id(&b, "nodes").contains_key(id);
        let first = by_id(&base, "nodes");
        prop_assert!(nodes.keys().all(|id| !first.contains_key(id) || !gone(id)));
        let edges = by_id(&merged.definition, "edges");
        prop_assert_eq!(&edges, &by_id(&swapped.definition, "edges"));
        for edge in edges.values() {
            for end in ["source", "target"] {
                prop_assert!(nodes.contains_key(edge[end].as_str().unwrap()), "{} is loose", edge);
            }
        }
    }

    #[test]
    fn documents_out_of_shape_are_exact_too(a in odd_document(), b in odd_document()) {
        prop_assert_eq!(patched(&a, &b), b.clone());
        for (ours, theirs) in [(&a, &b), (&b, &a), (&b, &b)] {
            let merged = merge(&a, ours, theirs);
            prop_assert_eq!(merged.conflicts, vec![]);
            prop_assert_eq!(&merged.definition, &b);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_panics(a in odd_document(), b in odd_document(), c in odd_document()) {
        drop(apply(&diff(&a, &b), &c));
        drop(merge(&a, &b, &c));
    }
}
