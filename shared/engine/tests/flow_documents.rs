//! Documents with loops, calls, switches and waits that are refused, each fault with its
//! pointer and code.

use std::collections::BTreeMap;

use nodeai_engine::{WorkflowRef, calls, compile, compile_with, validate};
use serde_json::{Value, json};

const CALLEE: &str = "0190d5f0-7b9c-7000-8000-000000000001";

/// A loop over a list, with two nodes inside, between input and output.
fn good() -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input"},
            {"id": "each", "type": "for_each", "data": {"items": "{{ inputs.list }}"}},
            {"id": "a", "type": "transform", "parentId": "each", "data": {"expression": "item + index"}},
            {"id": "b", "type": "transform", "parentId": "each", "data": {"expression": "nodes.a.output + inputs.x + loops.each.index"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.each.output }}"}},
        ],
        "edges": [
            {"source": "in", "target": "each"}, {"source": "a", "target": "b"}, {"source": "each", "target": "out"},
        ],
    })
}

/// The good document with one place changed.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = good();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    document.pointer_mut(parent).expect(parent)[name] = value;
    document
}

/// The good document with another node instead of `each`'s body and another between.
fn node(kind: &str, data: Value) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input"},
            {"id": "n", "type": kind, "data": data},
            {"id": "out", "type": "output", "data": {"value": 1}},
        ],
        "edges": [{"source": "in", "target": "n"}, {"source": "in", "target": "out"}],
    })
}

fn check(document: Value, expected: &[&str]) {
    let faults = validate(&document).err().unwrap_or_default();
    let found: Vec<String> = faults
        .iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.code))
        .collect();
    assert_eq!(found, expected, "{faults:#?}");
}

#[test]
fn a_loop_is_nodes_with_a_parent_id() {
    let definition = validate(&good()).expect("valid");
    let back = serde_json::to_value(&definition).expect("JSON");
    assert_eq!(back["nodes"][2]["parentId"], "each");
    let hash = |document: &Value| compile(document).expect("valid").hash().to_owned();
    let mut elsewhere = good();
    elsewhere["nodes"][2]["position"] = json!({"x": 5, "y": 5});
    assert_eq!(hash(&good()), hash(&elsewhere));
}

#[test]
fn parents_are_loops_that_are_there() {
    check(
        with("/nodes/2/parentId", json!(1)),
        &["/nodes/2/parentId wrong_type"],
    );
    check(
        with("/nodes/2/parentId", json!("nope")),
        &["/nodes/2/parentId unknown_node"],
    );
    check(
        with("/nodes/2/parentId", json!("b")),
        &["/nodes/2/parentId not_a_loop"],
    );
    check(
        with("/nodes/4/parentId", json!("each")),
        &["/nodes/4/parentId not_in_loop", "/edges/2 crosses_loop"],
    );
    let mut document = good();
    document["nodes"][1]["parentId"] = "each".into();
    let codes: Vec<String> = validate(&document)
        .expect_err("faults")
        .into_iter()
        .map(|f| f.code)
        .collect();
    assert!(codes.contains(&"loop_in_itself".to_owned()), "{codes:?}");
    check(
        node("for_each", json!({"items": []})),
        &["/nodes/1 empty_loop"],
    );
}

#[test]
fn edges_stay_in_their_loop() {
    check(
        with("/edges/1/source", json!("in")),
        &["/edges/1 crosses_loop"],
    );
    check(
        with("/edges/2/source", json!("b")),
        &["/edges/2 crosses_loop"],
    );
}

#[test]
fn references_reach_out_of_a_loop_but_not_into_it() {
    check(
        with("/nodes/2/data/expression", json!("nodes['in'].output")),
        &[],
    );
    check(
        with("/nodes/4/data/value", json!("{{ nodes.b.output }}")),
        &["/nodes/4/data inside_loop"],
    );
    check(
        with("/nodes/2/data/expression", json!("nodes.b.output")),
        &["/nodes/2/data not_upstream"],
    );
    check(
        with("/nodes/2/data/expression", json!("nodes.each.output")),
        &["/nodes/2/data not_upstream"],
    );
}

#[test]
fn names_of_loops_are_known_only_inside() {
    check(
        with("/nodes/4/data/value", json!("{{ item }}")),
        &["/nodes/4/data/value unknown_name"],
    );
    check(
        with("/nodes/2/data/expression", json!("previous")),
        &["/nodes/2/data/expression unknown_name"],
    );
    check(
        with("/nodes/1/data/items", json!("{{ index }}")),
        &["/nodes/1/data/items unknown_name"],
    );
    let mut document = good();
    document["nodes"][1] =
        json!({"id": "each", "type": "while", "data": {"condition": "index < 3 and not previous"}});
    document["nodes"][2]["data"]["expression"] = "index".into();
    check(document.clone(), &[]);
    document["nodes"][2]["data"]["expression"] = "item".into();
    check(document, &["/nodes/2/data/expression unknown_name"]);
}

#[test]
fn configs_of_loops_are_checked() {
    check(
        with("/nodes/1/data/result", json!("out")),
        &["/nodes/1/data/result unknown_reference"],
    );
    check(with("/nodes/1/data/result", json!("a")), &[]);
    check(
        with("/nodes/1/data/concurrency", json!(0)),
        &["/nodes/1/data/concurrency out_of_range"],
    );
    check(
        with("/nodes/1/data/concurrency", json!("{{ 2 }}")),
        &["/nodes/1/data/concurrency wrong_type"],
    );
    check(
        with("/nodes/1/data/cache", json!({"ttl_ms": 5})),
        &["/nodes/1/data/cache not_allowed"],
    );
    check(
        with("/nodes/1/data", json!({})),
        &["/nodes/1/data/items required"],
    );
}

#[test]
fn settings_of_nodes_are_checked() {
    let data = |more: Value| {
        with("/nodes/2/data", {
            let mut data = json!({"expression": "1"});
            data.as_object_mut()
                .expect("an object")
                .extend(more.as_object().expect("an object").clone());
            data
        })
    };
    check(
        data(
            json!({"skip_if": "item > 1", "retry": {"retry_if": "error.kind == 'x' and attempt < 3"}}),
        ),
        &[],
    );
    check(
        data(json!({"skip_if": "error"})),
        &["/nodes/2/data/skip_if unknown_name"],
    );
    check(
        data(json!({"skip_if": "1 +"})),
        &["/nodes/2/data/skip_if bad_expression"],
    );
    check(
        data(json!({"retry": {"retry_if": "nope"}})),
        &["/nodes/2/data/retry/retry_if unknown_name"],
    );
    check(
        data(json!({"retry": {"retry_if": "secrets.KEY"}})),
        &["/nodes/2/data/retry/retry_if not_allowed"],
    );
    check(
        data(json!({"pinned": {"handle": "output"}})),
        &["/nodes/2/data/pinned/output required"],
    );
    check(
        data(json!({"cache": {}})),
        &["/nodes/2/data/cache/ttl_ms required"],
    );
}

#[test]
fn switches_have_the_handles_of_their_cases() {
    let cases = json!([{"name": "a", "when": "1"}, {"name": "b", "equals": 2}]);
    let mut document = node("switch", json!({"value": 1, "cases": cases}));
    for handle in ["a", "b", "default"] {
        document["edges"][1] = json!({"source": "n", "sourceHandle": handle, "target": "out"});
        check(document.clone(), &[]);
    }
    document["edges"][1]["sourceHandle"] = "c".into();
    check(document, &["/edges/1/sourceHandle unknown_handle"]);
    let faulty =
        |cases: Value, expected: &[&str]| check(node("switch", json!({"cases": cases})), expected);
    faulty(json!([]), &["/nodes/1/data/cases too_few"]);
    faulty(
        json!([{"name": "error", "when": "1"}]),
        &["/nodes/1/data/cases/0/name not_allowed"],
    );
    faulty(
        json!([{"name": "a", "when": "1"}, {"name": "a", "when": "1"}]),
        &["/nodes/1/data/cases/1/name duplicate_name"],
    );
    faulty(json!([{"name": "a"}]), &["/nodes/1/data/cases/0 required"]);
    faulty(
        json!([{"name": "a", "when": "1 +"}]),
        &["/nodes/1/data/cases/0/when bad_expression"],
    );
}

#[test]
fn joins_wait_for_edges_that_are_there() {
    let merge = |join: Value| node("merge", json!({"join": join}));
    check(merge(json!("any")), &[]);
    check(merge(json!(1)), &[]);
    check(merge(json!(2)), &["/nodes/1/data/join out_of_range"]);
    check(merge(json!(0)), &["/nodes/1/data/join out_of_range"]);
    check(merge(json!("some")), &["/nodes/1/data/join not_allowed"]);
}

#[test]
fn waits_are_for_one_thing() {
    check(node("wait", json!({"duration_ms": 5})), &[]);
    check(node("wait", json!({"until": "2027-01-31T09:00:00Z"})), &[]);
    check(node("wait", json!({})), &["/nodes/1/data required"]);
    check(
        node("wait", json!({"duration_ms": 5, "webhook": {}})),
        &["/nodes/1/data not_allowed"],
    );
    check(
        node("wait", json!({"until": "tomorrow"})),
        &["/nodes/1/data/until bad_time"],
    );
    check(
        node("wait", json!({"duration_ms": 5, "expires_ms": 5})),
        &["/nodes/1/data/expires_ms not_allowed"],
    );
    check(
        node("wait", json!({"approval": {}})),
        &["/nodes/1/data/approval/title required"],
    );
}

#[test]
fn called_workflows_are_looked_up() {
    let call = node("workflow", json!({"workflow_id": CALLEE, "version": 2}));
    let which = WorkflowRef {
        workflow_id: CALLEE.into(),
        version: 2,
    };
    check(call.clone(), &[]);
    assert_eq!(calls(&call), [which.clone()]);
    let codes = |library: &BTreeMap<WorkflowRef, Value>| -> Vec<String> {
        let faults = compile_with(&call, library).err().unwrap_or_default();
        faults
            .iter()
            .map(|fault| format!("{} {}", fault.pointer, fault.code))
            .collect()
    };
    assert_eq!(
        codes(&BTreeMap::new()),
        ["/nodes/1/data/workflow_id unknown_workflow"]
    );
    let library = |callee: Value| BTreeMap::from([(which.clone(), callee)]);
    assert_eq!(
        codes(&library(json!({}))),
        ["/nodes/1/data/workflow_id invalid_workflow"]
    );
    assert_eq!(codes(&library(good())), Vec::<String>::new());
    // One that calls itself is fine: how deep it goes is the run's business.
    assert_eq!(codes(&library(call.clone())), Vec::<String>::new());
    // What a called workflow means belongs to the hash.
    let hash = |callee: Value| {
        compile_with(&call, &library(callee))
            .expect("valid")
            .hash()
            .to_owned()
    };
    assert_ne!(
        hash(good()),
        hash(with("/nodes/1/data/concurrency", json!(2)))
    );
    let mut handled = good();
    handled["settings"] = json!({"error_workflow": {"workflow_id": CALLEE, "version": 2}});
    assert_eq!(calls(&handled), [which]);
    handled["settings"] = json!({"error_workflow": {"version": 2}, "max_concurrency": 0});
    check(
        handled,
        &[
            "/settings/error_workflow wrong_type",
            "/settings/max_concurrency out_of_range",
        ],
    );
}
