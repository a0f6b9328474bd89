//! The diff of two values: its operations make one of the other, and it never grows beyond its bounds.

use nodeai_travel::{as_stored, changes};
use nodeai_versions::{Change, ChangeOp};
use proptest::prelude::*;
use serde_json::{Value, json};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..5i64).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-c~/é]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-c~/]{0,2}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Puts the changes in, as any RFC 6902 library does.
fn applied(a: &Value, list: &[Change]) -> Value {
    let operations = list.iter().map(|change| match change.op {
        ChangeOp::Add => json!({"op": "add", "path": change.path, "value": change.value}),
        ChangeOp::Remove => json!({"op": "remove", "path": change.path}),
        ChangeOp::Replace => json!({"op": "replace", "path": change.path, "value": change.value}),
    });
    let patch: json_patch::Patch = serde_json::from_value(operations.collect()).unwrap();
    let mut value = a.clone();
    json_patch::patch(&mut value, &patch).unwrap();
    value
}

proptest! {
    #[test]
    fn the_operations_make_one_of_the_other(a in value(), b in value()) {
        let found = changes(&a, &b);
        prop_assert!(!found.truncated);
        prop_assert_eq!(applied(&a, &found.changes), b.clone());
        prop_assert_eq!(found.changes.is_empty(), a == b);
    }

    #[test]
    fn what_is_stored_once_stays_as_it_is(value in value()) {
        let once = as_stored(value);
        prop_assert_eq!(as_stored(once.clone()).to_string(), once.to_string());
        let read: Value = serde_json::from_str(&once.to_string()).unwrap();
        prop_assert_eq!(read.to_string(), once.to_string());
    }
}

#[test]
fn large_values_are_told_within_bounds() {
    let a: Vec<i64> = (0..100_000).collect();
    let b: Vec<i64> = (0..100_000).map(|n| n + 1).collect();
    let found = changes(&json!(a), &json!(b));
    assert!(found.truncated);
    assert_eq!(found.changes.len(), 100);
    let long = "é".repeat(1_000_000);
    let found = changes(&json!({"a": 1}), &json!({"a": long}));
    assert!(found.truncated);
    assert!(json!(found).to_string().len() < 10_000);
}

#[test]
fn a_change_says_what_was_there() {
    let (a, b) = (
        json!({"list": [1, 2, 3, 4]}),
        json!({"list": [1, 9, 4], "n": null}),
    );
    let found = changes(&a, &b).changes;
    let told: Vec<(ChangeOp, &str)> = found.iter().map(|c| (c.op, c.path.as_str())).collect();
    assert_eq!(
        told,
        [
            (ChangeOp::Replace, "/list/1"),
            (ChangeOp::Remove, "/list/2"),
            (ChangeOp::Add, "/n"),
        ]
    );
    assert_eq!(found[0].old, Some(json!(2)));
    assert_eq!(found[1].old, Some(json!(3)));
    assert_eq!(found[2].value, Some(Value::Null));
}
