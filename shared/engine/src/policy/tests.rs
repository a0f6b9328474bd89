//! Policies: what a document without a list reaches, and how deep it calls.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{compile, compile_with};

const IDS: [&str; 3] = [
    "01a2102f-a96a-7131-a977-a20fa5f762f0",
    "01a2102f-a96a-7131-a977-a20fa5f762f1",
    "01a2102f-a96a-7131-a977-a20fa5f762f2",
];

/// An input, a node, an output.
fn document(kind: &str, data: Value, settings: Value) -> Value {
    json!({
        "nodes": [
            {"id": "n", "type": kind, "data": data},
            {"id": "in", "type": "input", "data": {}},
            {"id": "out", "type": "output", "data": {"value": "x"}},
        ],
        "edges": [{"source": "in", "target": "n"}, {"source": "n", "target": "out"}],
        "settings": settings,
    })
}

fn fetch(url: &str, settings: Value) -> Value {
    document("http", json!({"url": url}), settings)
}

fn calling(at: usize) -> Value {
    document(
        "workflow",
        json!({"workflow_id": IDS[at], "version": 1}),
        json!({}),
    )
}

fn which(at: usize) -> WorkflowRef {
    WorkflowRef {
        workflow_id: IDS[at].to_owned(),
        version: 1,
    }
}

fn policy(egress: EgressPolicy) -> Policy {
    Policy {
        egress,
        max_depth: None,
    }
}

fn reaches(plan: &Compiled, node: &str, url: &str) -> bool {
    let url = Url::parse(url).expect(url);
    plan.check_egress(node, &url).is_ok()
}

fn hosts(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|host| (*host).to_owned()).collect())
}

#[test]
fn without_a_policy_nothing_changes() {
    let mut plan = compile(&fetch("https://a.example/", json!({}))).expect("valid");
    let held = plan.hold(&Policy::default(), Some(Manifest::default()));
    assert_eq!(held, Ok(()));
    assert!(reaches(&plan, "n", "https://b.example/"));
}

#[test]
fn what_is_inferred_is_all_that_is_reached() {
    let open = fetch("{{ inputs.url }}", json!({}));
    for own in [None, Some(Manifest::default())] {
        let mut plan = compile(&fetch("https://a.example/{{ inputs.x }}", json!({}))).expect("ok");
        assert_eq!(
            plan.hold(&policy(EgressPolicy::Inferred), own.clone()),
            Ok(())
        );
        assert!(reaches(&plan, "n", "https://a.example/"));
        assert!(!reaches(&plan, "n", "https://b.example/"));
        let mut plan = compile(&open).expect("valid");
        assert_eq!(plan.hold(&policy(EgressPolicy::Inferred), own), Ok(()));
        assert!(!reaches(&plan, "n", "https://a.example/"));
    }
    // What was stored when the version was saved has custom nodes in it.
    let mut plan = compile(&open).expect("valid");
    let stored = Manifest {
        hosts: hosts(&["c.example"]),
        confirmed: None,
    };
    assert_eq!(
        plan.hold(&policy(EgressPolicy::Inferred), Some(stored)),
        Ok(())
    );
    assert!(reaches(&plan, "n", "https://c.example/"));
    assert_eq!(
        plan.egress_of("n").next(),
        Some(&["c.example".to_owned()][..])
    );
}

#[test]
fn a_list_holds_whatever_the_policy_is() {
    for egress in [
        EgressPolicy::Any,
        EgressPolicy::Inferred,
        EgressPolicy::Confirmed,
    ] {
        let listed = fetch("{{ inputs.url }}", json!({"egress": ["a.example"]}));
        let mut plan = compile(&listed).expect("valid");
        assert_eq!(
            plan.hold(&policy(egress), Some(Manifest::default())),
            Ok(())
        );
        assert!(reaches(&plan, "n", "https://a.example/"));
        assert!(!reaches(&plan, "n", "https://b.example/"));
        let mut plan = compile(&fetch("{{ inputs.url }}", json!({}))).expect("valid");
        let confirmed = Manifest {
            hosts: None,
            confirmed: hosts(&["a.example"]),
        };
        assert_eq!(plan.hold(&policy(egress), Some(confirmed)), Ok(()));
        assert!(reaches(&plan, "n", "https://a.example/"));
        assert!(!reaches(&plan, "n", "https://b.example/"));
    }
}

#[test]
fn a_version_that_is_not_confirmed_does_not_start() {
    let strict = policy(EgressPolicy::Confirmed);
    let mut plan = compile(&fetch("https://a.example/", json!({}))).expect("valid");
    let faults = plan
        .hold(&strict, Some(Manifest::default()))
        .expect_err("not confirmed");
    assert_eq!(faults[0].code, "egress_unconfirmed");
    assert!(
        faults[0].message.ends_with("it names: a.example"),
        "{faults:?}"
    );
    // A document that is no version is held to what it names.
    let mut plan = compile(&fetch("https://a.example/", json!({}))).expect("valid");
    assert_eq!(plan.hold(&strict, None), Ok(()));
    assert!(!reaches(&plan, "n", "https://b.example/"));
    // So is what has started before the policy was set.
    let mut plan = compile(&fetch("https://a.example/", json!({}))).expect("valid");
    let held = plan.hold(&strict.going_on(), Some(Manifest::default()));
    assert_eq!(held, Ok(()));
    assert!(!reaches(&plan, "n", "https://b.example/"));
}

#[test]
fn a_called_version_has_hosts_of_its_own() {
    let library = BTreeMap::from([(which(0), fetch("{{ inputs.url }}", json!({})))]);
    let made = || compile_with(&calling(0), &library).expect("valid");
    let strict = policy(EgressPolicy::Confirmed);
    let faults = made().hold(&strict, None).expect_err("not confirmed");
    assert_eq!(faults[0].pointer, "/nodes/0/data/workflow_id");
    assert!(faults[0].message.contains(IDS[0]), "{faults:?}");
    let mut plan = made();
    let confirmed = Manifest {
        hosts: None,
        confirmed: hosts(&["a.example"]),
    };
    plan.note(&which(0), confirmed);
    let own = Manifest {
        hosts: None,
        confirmed: hosts(&["*.example"]),
    };
    assert_eq!(plan.hold(&strict, Some(own)), Ok(()));
    assert!(reaches(&plan, "n[0]/n", "https://a.example/"));
    assert!(!reaches(&plan, "n[0]/n", "https://b.example/"));
}

#[test]
fn what_is_inferred_says_nothing_about_called_versions() {
    let library = BTreeMap::from([(which(0), fetch("https://a.example/", json!({})))]);
    let mut plan = compile_with(&calling(0), &library).expect("valid");
    assert_eq!(plan.hold(&policy(EgressPolicy::Inferred), None), Ok(()));
    assert!(reaches(&plan, "n[0]/n", "https://a.example/"));
    assert!(!reaches(&plan, "n[0]/n", "https://b.example/"));
    assert!(!reaches(&plan, "n", "https://a.example/"));
    // What somebody has listed does.
    let mut plan = compile_with(&calling(0), &library).expect("valid");
    let own = Manifest {
        hosts: None,
        confirmed: hosts(&["b.example"]),
    };
    assert_eq!(
        plan.hold(&policy(EgressPolicy::Inferred), Some(own)),
        Ok(())
    );
    assert!(!reaches(&plan, "n[0]/n", "https://a.example/"));
}

#[test]
fn calls_go_as_deep_as_the_policy_lets_them() {
    let library = BTreeMap::from([
        (which(0), calling(1)),
        (which(1), calling(2)),
        (which(2), fetch("https://a.example/", json!({}))),
    ]);
    let held = |most| {
        let mut plan = compile_with(&calling(0), &library).expect("valid");
        let policy = Policy {
            egress: EgressPolicy::Any,
            max_depth: Some(most),
        };
        plan.hold(&policy, None)
    };
    assert_eq!(held(3), Ok(()));
    let faults = held(2).expect_err("too deep");
    assert_eq!(faults[0].pointer, "/nodes/0/data/workflow_id");
    assert_eq!(faults[0].code, "too_deep");
    assert!(faults[0].message.contains("max_depth"), "{faults:?}");
    // What calls itself may end before that: the run finds out.
    let library = BTreeMap::from([(which(0), calling(0))]);
    let mut plan = compile_with(&calling(0), &library).expect("valid");
    let policy = Policy {
        egress: EgressPolicy::Any,
        max_depth: Some(2),
    };
    assert_eq!(plan.hold(&policy, None), Ok(()));
}

#[test]
fn policies_are_read_as_they_are_stored() {
    let read = |value: Value| serde_json::from_value::<Policy>(value).expect("a policy");
    assert_eq!(read(json!({})), Policy::default());
    let stored = read(json!({"egress": "confirmed", "max_depth": null}));
    assert_eq!(stored, policy(EgressPolicy::Confirmed));
    assert_eq!(read(json!({"max_depth": 7})).max_depth, Some(7));
}
