//! Every save is a version: history, semantic diff, three-way merge, restore, runs of any version.

use super::{app, documents::hello};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

fn greeting(template: &str) -> Value {
    let mut definition = hello();
    definition["nodes"][1]["data"]["template"] = json!(template);
    definition
}

/// A workflow whose first version says hello and whose second one says `second`.
fn two_versions(me: &Tenant, second: &str) -> String {
    let path = format!("/api/v1/workflows/{}", me.workflow("greeting", &hello()));
    let body = json!({"name": "greeting", "definition": greeting(second), "message": "politer"});
    let saved = me.put_with(&path, &[("if-match", "\"v1\"")], &body);
    assert_status(&saved, 200);
    path
}

#[test]
fn every_save_is_a_version_with_author_message_and_parent() {
    let me = app().tenant();
    let path = two_versions(&me, "Good day, {{ inputs.name }}!");
    assert_status(&me.patch(&path, &json!({"tags": ["polite"]})), 200);
    assert_status(&me.post(&format!("{path}/archive"), &json!({})), 200);

    let page = me.get(&format!("{path}/versions?limit=3")).json;
    let numbers = |page: &Value| -> Vec<i64> {
        let rows = page["data"].as_array().unwrap();
        rows.iter().map(|v| v["number"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&page), [4, 3, 2]);
    let second = &page["data"][2];
    assert_eq!(second["message"], "politer");
    assert_eq!(second["author"], me.user_id.as_str());
    assert_eq!(second["parent"], 1);
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = me.get(&format!("{path}/versions?cursor={cursor}")).json;
    assert_eq!(numbers(&rest), [1]);
    assert_eq!(rest["next_cursor"], Value::Null);

    // A save that leaves the document alone has it all the same.
    let third = me.get(&format!("{path}/versions/3")).json;
    assert_eq!(
        third["definition"],
        greeting("Good day, {{ inputs.name }}!")
    );
    assert_eq!(
        me.get(&format!("{path}/versions/1")).json["definition"],
        hello()
    );
    for none in ["99", "0", "x"] {
        let reply = me.get(&format!("{path}/versions/{none}"));
        assert_problem(&reply, 404, "not-found");
    }
}

#[test]
fn a_diff_names_nodes_and_fields() {
    let me = app().tenant();
    let path = two_versions(&me, "Good day!");
    let diff = me.get(&format!("{path}/diff"));
    assert_status(&diff, 200);
    assert_eq!(
        (&diff.json["from"], &diff.json["to"]),
        (&json!(1), &json!(2))
    );
    let changed = &diff.json["nodes"]["changed"];
    assert_eq!(changed.as_array().unwrap().len(), 1);
    assert_eq!(changed[0]["id"], "greet");
    let change = &changed[0]["changes"][0];
    assert_eq!(change["path"], "/data/template");
    assert_eq!(change["old"], "Hello, {{ inputs.name }}!");
    assert_eq!(change["value"], "Good day!");
    assert_eq!(diff.json["edges"]["added"], json!([]));

    let back = me.get(&format!("{path}/diff?from=2&to=1")).json;
    assert_eq!(
        back["nodes"]["changed"][0]["changes"][0]["value"],
        "Hello, {{ inputs.name }}!"
    );
    assert_problem(
        &me.get(&format!("{path}/diff?from=1&to=7")),
        404,
        "not-found",
    );
    assert_problem(
        &me.get(&format!("{path}/diff?from=0")),
        400,
        "invalid-input",
    );
    assert_problem(
        &me.get(&format!("{path}/diff?form=1")),
        400,
        "invalid-input",
    );
}

#[test]
fn disjoint_edits_merge_into_a_new_version() {
    let me = app().tenant();
    let path = two_versions(&me, "Good day, {{ inputs.name }}!");
    let mut theirs = hello();
    theirs["nodes"][2]["position"] = json!({"x": 900, "y": 9});
    theirs["vars"] = json!({"tone": "warm"});
    let merge = json!({"base": 1, "theirs": theirs});

    let shown = me.post(&format!("{path}/merge"), &merge);
    assert_status(&shown, 200);
    assert_eq!(shown.json["conflicts"], json!([]));
    assert_eq!(shown.json["version"], Value::Null);
    assert_eq!(me.get(&path).json["version"], 2, "nothing was stored");

    let commit = json!({"base": 1, "theirs": theirs, "commit": true});
    let unasked = me.post(&format!("{path}/merge"), &commit);
    assert_problem(&unasked, 428, "precondition-required");
    let stale = me.post_with(&format!("{path}/merge"), &[("if-match", "\"v1\"")], &commit);
    assert_problem(&stale, 412, "stale-version");

    let headers = [("if-match", "\"v2\""), ("idempotency-key", "merge-1")];
    let stored = me.post_with(&format!("{path}/merge"), &headers, &commit);
    assert_status(&stored, 200);
    assert_eq!(stored.json["version"], 3);
    assert_eq!(stored.header("etag"), "\"v3\"");
    let now = me.get(&path).json;
    assert_eq!(now["definition"], shown.json["definition"]);
    assert_eq!(now["definition"]["vars"]["tone"], "warm");
    assert_eq!(
        now["definition"]["nodes"][1]["data"]["template"],
        "Good day, {{ inputs.name }}!"
    );
    let again = me.post_with(&format!("{path}/merge"), &headers, &commit);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json, stored.json);
}

#[test]
fn conflicts_are_listed_and_never_stored() {
    let me = app().tenant();
    let path = two_versions(&me, "Good day!");
    let merge = json!({"base": 1, "theirs": greeting("Hi!")});
    let shown = me.post(&format!("{path}/merge"), &merge);
    assert_status(&shown, 200);
    let conflict = &shown.json["conflicts"][0];
    assert_eq!(conflict["kind"], "both_changed");
    assert_eq!(conflict["node_id"], "greet");
    assert_eq!(conflict["pointer"], "/data/template");
    assert_eq!(
        (&conflict["ours"], &conflict["theirs"]),
        (&json!("Good day!"), &json!("Hi!"))
    );

    let commit = json!({"base": 1, "theirs": greeting("Hi!"), "commit": true});
    let refused = me.post_with(&format!("{path}/merge"), &[("if-match", "*")], &commit);
    assert_problem(&refused, 409, "conflict");
    assert_eq!(
        refused.json["errors"][0]["pointer"],
        "/nodes/greet/data/template"
    );
    assert_eq!(refused.json["errors"][0]["code"], "both_changed");
    assert_eq!(me.get(&path).json["version"], 2);
}

#[test]
fn a_merge_that_cannot_run_is_not_stored() {
    let me = app().tenant();
    let path = two_versions(&me, "Good day!");
    let mut theirs = hello();
    theirs["nodes"][1]["type"] = json!("teleport");
    let commit = json!({"base": 1, "theirs": theirs, "commit": true});
    let refused = me.post_with(&format!("{path}/merge"), &[("if-match", "*")], &commit);
    assert_problem(&refused, 409, "conflict");
    assert!(refused.text.contains("unknown_type"), "{}", refused.text);
}

#[test]
fn a_restored_version_is_a_new_one() {
    let me = app().tenant();
    let path = two_versions(&me, "Good day!");
    let restore = |match_: &str, version: i64| {
        let body = json!({"version": version});
        me.post_with(&format!("{path}/restore"), &[("if-match", match_)], &body)
    };
    assert_problem(&restore("\"v1\"", 1), 412, "stale-version");
    let restored = restore("\"v2\"", 1);
    assert_status(&restored, 200);
    assert_eq!(restored.json["version"], 3);
    assert_eq!(restored.json["definition"], hello());
    let newest = me.get(&format!("{path}/versions?limit=1")).json["data"][0].clone();
    assert_eq!(newest["message"], "Restored version 1");
    assert_problem(&restore("*", 99), 409, "conflict");
    assert_problem(&restore("*", 0), 400, "invalid-input");
}

#[test]
fn any_version_runs() {
    let me = app().tenant();
    let path = two_versions(&me, "Good day, {{ inputs.name }}!");
    let id = path.rsplit('/').next().unwrap();
    for (version, said) in [(1, "Hello, Ada!"), (2, "Good day, Ada!")] {
        let body = json!({"workflow_id": id, "version": version, "inputs": {"name": "Ada"}});
        let run = me.post("/api/v1/workflows/execute", &body);
        assert_eq!(run.json["outputs"]["out"], said, "{}", run.text);
    }
    let body = json!({"workflow_id": id, "version": 9, "inputs": {"name": "Ada"}});
    let none = me.post("/api/v1/workflows/execute", &body);
    assert_problem(&none, 404, "not-found");
}
