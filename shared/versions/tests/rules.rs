//! The rules of diff and merge, one by one.

use nodeai_versions::{ChangeOp, Conflict, ConflictKind, Error, apply, diff, merge};
use serde_json::{Value, json};

fn base() -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "position": {"x": 0, "y": 0}, "data": {}},
            {"id": "say", "type": "llm", "position": {"x": 1, "y": 0}, "data": {"model": "m", "prompt": "p", "stop": [1, 2]}},
            {"id": "out", "type": "output", "position": {"x": 2, "y": 0}, "data": {"value": "v"}},
        ],
        "edges": [{"id": "a", "source": "in", "target": "say"}, {"source": "say", "target": "out"}],
        "vars": {"x": 1},
    })
}

fn with(change: impl Fn(&mut Value)) -> Value {
    let mut document = base();
    change(&mut document);
    document
}

fn remove(document: &mut Value, id: &str) {
    let nodes = document["nodes"].as_array_mut().unwrap();
    nodes.retain(|n| n["id"] != id);
    let edges = document["edges"].as_array_mut().unwrap();
    edges.retain(|e| e["source"] != id && e["target"] != id);
}

fn only(conflicts: &[Conflict]) -> &Conflict {
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    &conflicts[0]
}

#[test]
fn a_diff_speaks_of_nodes_edges_and_fields() {
    let b = with(|d| {
        remove(d, "out");
        d["nodes"][0]["position"]["x"] = json!(9);
        d["nodes"][1]["position"]["x"] = json!(9);
        d["nodes"][1]["data"]["prompt"] = json!("q");
        d["nodes"][1]["data"]["a/b"] = json!(null);
        d["edges"][0]["label"] = json!("go");
        d["vars"]["x"] = json!(2);
        d["nodes"]
            .as_array_mut()
            .unwrap()
            .push(json!({"id": "new", "type": "output"}));
    });
    let d = diff(&base(), &b);
    let ids =
        |list: &[nodeai_versions::Moved]| list.iter().map(|m| m.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&d.nodes.moved), ["in", "say"]);
    assert_eq!(d.nodes.moved[0].to, json!({"x": 9, "y": 0}));
    assert_eq!(d.nodes.added[0].after.as_deref(), Some("say"));
    assert_eq!(d.nodes.removed[0].id, "out");
    assert_eq!(d.nodes.changed.len(), 1);
    let changes = &d.nodes.changed[0].changes;
    let paths: Vec<&str> = changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, ["/data/prompt", "/data/a~1b"]);
    let prompt = changes.iter().find(|c| c.path == "/data/prompt").unwrap();
    assert_eq!(
        (prompt.op, &prompt.old, &prompt.value),
        (ChangeOp::Replace, &Some(json!("p")), &Some(json!("q")))
    );
    assert_eq!(d.edges.changed[0].changes[0].path, "/label");
    assert_eq!(d.edges.removed[0].id, "say->out");
    assert_eq!(d.document[0].path, "/vars/x");
    assert_eq!((d.nodes.order, d.edges.order), (None, None));
}

#[test]
fn another_order_is_a_difference() {
    let b = with(|d| d["nodes"].as_array_mut().unwrap().reverse());
    let d = diff(&base(), &b);
    assert_eq!(d.nodes.order.as_deref().unwrap(), ["out", "say", "in"]);
    assert_eq!(apply(&d, &base()), Ok(b));
}

#[test]
fn a_diff_of_another_document_is_refused() {
    let d = diff(
        &base(),
        &with(|d| d["nodes"][1]["data"]["prompt"] = json!("q")),
    );
    let other = with(|d| remove(d, "say"));
    assert!(matches!(apply(&d, &other), Err(Error::DoesNotFit(_))));
}

#[test]
fn different_fields_of_one_node_go_together() {
    let ours = with(|d| d["nodes"][1]["data"]["prompt"] = json!("q"));
    let theirs = with(|d| {
        d["nodes"][1]["data"]["model"] = json!("n");
        d["nodes"][1]["data"]["stop"][1] = json!(3);
    });
    let merged = merge(&base(), &ours, &theirs);
    assert_eq!(merged.conflicts, []);
    let data = &merged.definition["nodes"][1]["data"];
    assert_eq!(data, &json!({"model": "n", "prompt": "q", "stop": [1, 3]}));
}

#[test]
fn one_field_changed_by_both_is_a_conflict_and_ours_stays() {
    let ours = with(|d| d["nodes"][1]["data"]["prompt"] = json!("ours"));
    let theirs = with(|d| d["nodes"][1]["data"]["prompt"] = json!("theirs"));
    let merged = merge(&base(), &ours, &theirs);
    let conflict = only(&merged.conflicts);
    assert_eq!(conflict.kind, ConflictKind::BothChanged);
    assert_eq!(conflict.node_id.as_deref(), Some("say"));
    assert_eq!(conflict.pointer, "/data/prompt");
    assert_eq!(conflict.place(), "/nodes/say/data/prompt");
    assert_eq!(conflict.theirs, Some(json!("theirs")));
    assert_eq!(merged.definition, ours);
}

#[test]
fn a_node_moved_by_both_is_where_theirs_has_it() {
    let ours = with(|d| {
        d["nodes"][1]["position"] = json!({"x": 5, "y": 5});
        d["nodes"][1]["data"]["prompt"] = json!("q");
    });
    let theirs = with(|d| d["nodes"][1]["position"] = json!({"x": 7, "y": 7}));
    let merged = merge(&base(), &ours, &theirs);
    assert_eq!(merged.conflicts, []);
    assert_eq!(merged.definition["nodes"][1]["position"]["x"], 7);
    assert_eq!(merged.definition["nodes"][1]["data"]["prompt"], "q");
}

#[test]
fn removing_what_the_other_side_changed_is_a_conflict() {
    let changed = with(|d| d["nodes"][1]["data"]["prompt"] = json!("q"));
    let removed = with(|d| remove(d, "say"));
    let kept = merge(&base(), &changed, &removed);
    assert_eq!(only(&kept.conflicts).kind, ConflictKind::TheyRemoved);
    let gone = merge(&base(), &removed, &changed);
    assert_eq!(only(&gone.conflicts).kind, ConflictKind::WeRemoved);
    assert_eq!(gone.definition, removed);
}

#[test]
fn removing_what_was_only_moved_is_none() {
    let moved = with(|d| d["nodes"][1]["position"]["x"] = json!(50));
    let removed = with(|d| remove(d, "say"));
    let merged = merge(&base(), &moved, &removed);
    assert_eq!(merged.conflicts, []);
    assert_eq!(merged.definition, removed);
}

#[test]
fn the_same_new_id_with_other_content_is_a_conflict() {
    let add = |value: &str| {
        with(|d| {
            let node = json!({"id": "new", "type": "output", "data": {"value": value}});
            d["nodes"].as_array_mut().unwrap().push(node);
        })
    };
    assert_eq!(merge(&base(), &add("x"), &add("x")).conflicts, []);
    let merged = merge(&base(), &add("x"), &add("y"));
    assert_eq!(only(&merged.conflicts).kind, ConflictKind::BothAdded);
}

#[test]
fn an_edge_to_a_node_that_the_other_side_removed_is_a_conflict() {
    let tied = with(|d| {
        let edge = json!({"id": "b", "source": "in", "target": "out"});
        d["edges"].as_array_mut().unwrap().push(edge);
    });
    let removed = with(|d| remove(d, "out"));
    let kept = merge(&base(), &tied, &removed);
    let conflict = only(&kept.conflicts);
    assert_eq!(conflict.kind, ConflictKind::DanglingEdge);
    assert_eq!(
        (conflict.edge_id.as_deref(), conflict.node_id.as_deref()),
        (Some("b"), Some("out"))
    );
    // What is there is sound: with the node where ours has the edge, without the edge where ours removed the node.
    assert_eq!(kept.definition["nodes"].as_array().unwrap().len(), 3);
    let gone = merge(&base(), &removed, &tied);
    assert_eq!(only(&gone.conflicts).kind, ConflictKind::DanglingEdge);
    assert_eq!(gone.definition, removed);
}

#[test]
fn the_same_connection_drawn_twice_is_one_edge() {
    let draw = |id: &str| {
        with(|d| {
            let edge = json!({"id": id, "source": "in", "target": "out"});
            d["edges"].as_array_mut().unwrap().push(edge);
        })
    };
    let merged = merge(&base(), &draw("mine"), &draw("yours"));
    assert_eq!(merged.conflicts, []);
    assert_eq!(merged.definition, draw("mine"));
}

#[test]
fn new_elements_keep_their_neighbours_when_the_other_side_reorders() {
    let ours = with(|d| d["nodes"].as_array_mut().unwrap().reverse());
    let theirs = with(|d| {
        d["nodes"]
            .as_array_mut()
            .unwrap()
            .insert(1, json!({"id": "new", "type": "output"}));
    });
    let merged = merge(&base(), &ours, &theirs);
    let ids: Vec<&str> = merged.definition["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["out", "say", "in", "new"]);
}
