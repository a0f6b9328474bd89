//! Who may find a document: labels on documents, labels of whoever a search is for.

use super::app;
use super::knowledge::{add, base, hashed, ready, search, titles};
use super::runs::graph;
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

/// The titles that somebody with these labels finds, sorted.
fn found(me: &Tenant, base: &str, mode: &str, access: Value) -> Vec<String> {
    let body = json!({"query": "secret plans", "mode": mode, "access": access});
    let found = search(me, base, body);
    let mut titles: Vec<String> = titles(&found).into_iter().map(str::to_owned).collect();
    titles.sort();
    titles
}

#[test]
fn documents_are_found_by_those_that_they_are_for() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let open = add(
        &me,
        &path,
        json!([{"title": "open", "text": "Secret plans are not here."}]),
    );
    ready(&me, &path, &open);
    assert_eq!(found(&me, &path, "hybrid", Value::Null), ["open"]);
    let closed = add(
        &me,
        &path,
        json!([
            {"title": "sales", "text": "Secret plans of sales.", "access": ["group:sales", "user:ada"]},
            {"title": "board", "text": "Secret plans of the board.", "access": ["group:board"]},
        ]),
    );
    ready(&me, &path, &closed);
    for mode in ["lexical", "vector", "hybrid"] {
        let of = |access: Value| found(&me, &path, mode, access);
        assert_eq!(of(Value::Null), ["open"], "{mode}");
        assert_eq!(of(json!(["group:sales"])), ["open", "sales"], "{mode}");
        assert_eq!(
            of(json!(["user:ada", "group:board"])),
            ["board", "open", "sales"],
            "{mode}"
        );
        assert_eq!(of(json!(["group:Sales"])), ["open"], "{mode}");
        assert_eq!(of(json!(["*"])), ["board", "open", "sales"], "{mode}");
    }
    // With a condition beside it.
    let body = json!({"query": "secret", "mode": "lexical", "access": ["group:sales"], "documents": closed});
    assert_eq!(titles(&search(&me, &path, body)), ["sales"]);
    // Changes count at once.
    let sales = format!("{path}/documents/{}", closed[0]);
    assert_eq!(
        me.get(&sales).json["access"],
        json!(["group:sales", "user:ada"])
    );
    assert_status(&me.patch(&sales, &json!({"title": "sales"})), 200);
    assert_eq!(
        found(&me, &path, "lexical", json!(["user:ada"])),
        ["open", "sales"]
    );
    assert_status(&me.patch(&sales, &json!({"access": ["user:bob"]})), 200);
    assert_eq!(found(&me, &path, "lexical", json!(["user:ada"])), ["open"]);
    assert_status(&me.patch(&sales, &json!({"access": null})), 200);
    assert_eq!(found(&me, &path, "lexical", Value::Null), ["open", "sales"]);
}

#[test]
fn a_workflow_asks_for_the_person_that_it_serves() {
    let me = app().tenant();
    let path = base(&me, hashed());
    let ids = add(
        &me,
        &path,
        json!([{"title": "mine", "text": "Secret plans.", "access": ["user:ada"]}]),
    );
    ready(&me, &path, &ids);
    let id = path.rsplit('/').next().unwrap();
    let nodes = json!([{"id": "in", "type": "input", "data": {}},
        {"id": "look", "type": "retrieve", "data": {"knowledge_base": id, "query": "plans", "mode": "lexical",
            "access": "{{ inputs.labels }}"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.look.output.results }}"}}]);
    let definition = graph(nodes, &[("in", None, "look"), ("look", None, "out")]);
    let workflow = me.workflow("looks", &definition);
    let results = |labels: Value| {
        let body = json!({"workflow_id": workflow, "inputs": {"labels": labels}});
        let run = me.post("/api/v1/workflows/execute", &body);
        assert_status(&run, 200);
        run.json["outputs"]["out"].as_array().unwrap().len()
    };
    assert_eq!(results(json!(["user:ada"])), 1);
    assert_eq!(results(json!(["user:bob"])), 0);
}

#[test]
fn labels_that_cannot_be_are_refused() {
    let me = app().tenant();
    let path = base(&me, hashed());
    for (access, code) in [
        (json!([]), "length"),
        (json!([""]), "length"),
        (json!(["*"]), "reserved"),
    ] {
        let body = json!({"documents": [{"text": "x", "access": access}]});
        let refused = me.post(&format!("{path}/documents"), &body);
        assert_problem(&refused, 400, "invalid-input");
        let error = &refused.json["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!("/documents/0/access"), &json!(code)),
            "{}",
            refused.text
        );
    }
    let body = json!({"query": "x", "access": [""]});
    let refused = me.post(&format!("{path}/search"), &body);
    assert_eq!(refused.json["errors"][0]["pointer"], "/access");
}
