//! Documents of another system: what is new comes in, what has changed is indexed again, what is gone is removed; by the API and by a
//! workflow.

use super::app;
use super::knowledge::{base, hashed, ready, search, titles};
use super::runs::graph;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

fn page(key: &str, text: &str) -> Value {
    json!({"key": key, "title": key, "text": text, "metadata": {"of": "wiki"}})
}

fn sync(me: &Tenant, base: &str, documents: Value, complete: bool) -> Reply {
    let body = json!({"connector": "wiki", "documents": documents, "complete": complete});
    me.put_with(&format!("{base}/documents"), &[], &body)
}

/// How many were added, changed, unchanged and removed.
fn counts(reply: &Reply) -> [i64; 4] {
    assert_status(reply, 200);
    ["added", "changed", "unchanged", "removed"].map(|name| reply.json[name].as_i64().unwrap())
}

fn ids(reply: &Reply) -> Vec<String> {
    let rows = reply.json["documents"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_base_stays_as_the_other_system_is() {
    let me = app().tenant();
    let base = base(&me, hashed());
    let own = super::knowledge::add(
        &me,
        &base,
        json!([{"title": "own", "text": "A zebra of our own."}]),
    );
    let first = json!([
        page("w/1", "Whales sing in the deep sea."),
        page("w/2", "A red car stands in the street."),
        page("w/3", "Bread is baked in the morning."),
    ]);
    let made = sync(&me, &base, first.clone(), true);
    assert_eq!(counts(&made), [3, 0, 0, 0]);
    ready(&me, &base, &ids(&made));
    // The same once more changes nothing.
    let again = sync(&me, &base, first, true);
    assert_eq!((counts(&again), ids(&again)), ([0, 0, 3, 0], ids(&made)));
    // A part of the list removes nothing.
    let part = sync(
        &me,
        &base,
        json!([page("w/2", "A blue bicycle stands in the street.")]),
        false,
    );
    assert_eq!(counts(&part), [0, 1, 0, 0]);
    ready(&me, &base, &ids(&part));
    let bicycles = json!({"query": "bicycle", "mode": "lexical", "filter": {"of": "wiki"}});
    assert_eq!(titles(&search(&me, &base, bicycles)), ["w/2"]);
    let cars = search(&me, &base, json!({"query": "car", "mode": "lexical"}));
    assert_eq!(titles(&cars), Vec::<&str>::new());
    let whole = json!([
        page("w/1", "Whales sing in the deep sea."),
        page("w/2", "A blue bicycle stands in the street.")
    ]);
    assert_eq!(counts(&sync(&me, &base, whole, true)), [0, 0, 2, 1]);
    // A long list comes in parts, and its end says what there is.
    let parts = |keep: Value| {
        let body = json!({"connector": "wiki", "documents": [page("w/4", "Snow falls.")], "complete": true, "keep": keep});
        me.put_with(&format!("{base}/documents"), &[], &body)
    };
    assert_eq!(counts(&parts(json!(["w/1", "w/2"]))), [1, 0, 0, 0]);
    assert_eq!(counts(&parts(json!(["w/1", "w/2"]))), [0, 0, 1, 0]);
    let whole = json!([
        page("w/1", "Whales sing in the deep sea."),
        page("w/2", "A blue bicycle stands in the street.")
    ]);
    assert_eq!(counts(&sync(&me, &base, whole, true)), [0, 0, 2, 1]);
    let gone = format!("{base}/documents/{}", ids(&made)[2]);
    assert_problem(&me.get(&gone), 404, "not-found");
    // What does not come from there is left alone.
    assert_status(&me.get(&format!("{base}/documents/{}", own[0])), 200);
    let listed = me
        .get(&format!("{base}/documents?source_kind=connector"))
        .json;
    let rows = listed["data"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &rows[0]["connector"]),
        (2, &json!("wiki")),
        "{listed}"
    );
}

#[test]
fn bad_lists_change_nothing_and_strangers_do_not_get_in() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let base = base(&me, hashed());
    let cases = [
        (json!([page("a", "x"), page("a", "y")]), "/documents/1/key"),
        (json!([page("", "x")]), "/documents/0/key"),
        (json!([page("a", " ")]), "/documents/0/text"),
    ];
    let kept = json!({"connector": "wiki", "documents": [], "keep": ["a"]});
    let reply = me.put_with(&format!("{base}/documents"), &[], &kept);
    assert_problem(&reply, 400, "invalid-input");
    assert_eq!(reply.json["errors"][0]["pointer"], "/keep");
    for (documents, pointer) in cases {
        let reply = sync(&me, &base, documents, true);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
    let theirs = sync(&stranger, &base, json!([page("a", "x")]), true);
    assert_problem(&theirs, 404, "not-found");
    let listed = me.get(&format!("{base}/documents"));
    assert_eq!(listed.json["data"], json!([]));
}

#[test]
fn a_workflow_is_a_connector() {
    let me = app().tenant();
    let base = base(&me, hashed());
    let id = base.rsplit('/').next().unwrap();
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "pages", "type": "jq", "data": {"input": "{{ inputs.rows }}", "program": "map({key: .id, title: .name, text: .body})"}},
        {"id": "index", "type": "index", "data": {"knowledge_base": id, "connector": "sheet", "documents": "{{ nodes.pages.output }}",
            "complete": true}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.index.output }}"}},
    ]);
    let document = graph(
        nodes,
        &[
            ("in", None, "pages"),
            ("pages", None, "index"),
            ("index", None, "out"),
        ],
    );
    let rows = json!([{"id": "r1", "name": "one", "body": "Whales sing."}, {"id": "r2", "name": "two", "body": "Cars need fuel."}]);
    let run = |rows: Value| {
        let run = me.run(&document, json!({"rows": rows}));
        assert_eq!(run.json["status"], "succeeded", "{}", run.text);
        run.json["outputs"]["out"].clone()
    };
    let first = run(rows);
    assert_eq!(
        (&first["added"], &first["removed"]),
        (&json!(2), &json!(0)),
        "{first}"
    );
    let added = first["documents"].as_array().unwrap().iter();
    let added: Vec<String> = added
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    ready(&me, &base, &added);
    let found = search(&me, &base, json!({"query": "fuel", "mode": "lexical"}));
    assert_eq!(titles(&found), ["two"]);
    let second = run(json!([{"id": "r1", "name": "one", "body": "Whales sing."}]));
    assert_eq!(
        (&second["unchanged"], &second["removed"]),
        (&json!(1), &json!(1)),
        "{second}"
    );
    // What is no list is the node's own error.
    let wrong = me.run(
        &document,
        json!({"rows": [{"id": "r1", "name": "one", "body": ""}]}),
    );
    assert_eq!(wrong.json["status"], "failed", "{}", wrong.text);
    let message = wrong.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("/documents/0/text"), "{message}");
}
