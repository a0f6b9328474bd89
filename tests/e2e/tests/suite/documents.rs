//! Workflow documents: create, read, list, update, delete, validate.

use super::app;
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

/// Input → template → output.
pub fn hello() -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "position": {"x": 0, "y": 0}, "data": {}},
            {"id": "greet", "type": "template", "position": {"x": 200, "y": 0},
                "data": {"template": "Hello, {{ inputs.name }}!"}},
            {"id": "out", "type": "output", "position": {"x": 400, "y": 0},
                "data": {"value": "{{ nodes.greet.output.text }}"}},
        ],
        "edges": [
            {"id": "a", "source": "in", "target": "greet"},
            {"id": "b", "source": "greet", "target": "out"},
        ],
    })
}

#[test]
fn a_created_workflow_reads_back_whole() {
    let me = app().tenant();
    let body = json!({"name": "Greeting", "description": "says hello", "definition": hello(), "tags": ["demo"]});
    let created = me.post("/api/v1/workflows", &body);
    assert_status(&created, 201);
    let location = created.header("location").to_owned();
    assert_eq!(created.header("etag"), "\"v1\"");
    let read = me.get(&location);
    assert_status(&read, 200);
    assert_eq!(read.header("etag"), "\"v1\"");
    for field in [
        "id",
        "name",
        "description",
        "definition",
        "tags",
        "version",
        "created_at",
        "created_by",
    ] {
        assert_eq!(read.json[field], created.json[field], "{field}");
    }
    assert_eq!(read.json["definition"], hello());
    assert_eq!(read.json["created_by"], me.user_id.as_str());
}

#[test]
fn an_update_makes_a_new_version_and_a_stale_one_is_refused() {
    let me = app().tenant();
    let id = me.workflow("one", &hello());
    let path = format!("/api/v1/workflows/{id}");
    let body = json!({"name": "two", "definition": hello(), "message": "renamed"});

    assert_problem(
        &me.put_with(&path, &[], &body),
        428,
        "precondition-required",
    );
    let updated = me.put_with(&path, &[("if-match", "\"v1\"")], &body);
    assert_status(&updated, 200);
    assert_eq!(updated.header("etag"), "\"v2\"");
    assert_eq!(updated.json["version"], 2);

    let stale = me.put_with(&path, &[("if-match", "\"v1\"")], &body);
    assert_problem(&stale, 412, "stale-version");
    assert!(stale.json["detail"].as_str().unwrap().contains("\"v2\""));
    assert_eq!(me.get(&path).json["name"], "two");
}

#[test]
fn a_deleted_workflow_is_gone() {
    let me = app().tenant();
    let id = me.workflow("gone", &hello());
    let path = format!("/api/v1/workflows/{id}");
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&path), 404, "not-found");
    assert_problem(&me.delete(&path), 404, "not-found");
    let run = me.post("/api/v1/workflows/execute", &json!({"workflow_id": id}));
    assert_problem(&run, 404, "not-found");
    assert_eq!(me.get("/api/v1/workflows").json["data"], json!([]));
}

#[test]
fn pages_cover_every_workflow_once_newest_first() {
    let me = app().tenant();
    let made: Vec<String> = (0..5)
        .map(|i| me.workflow(&format!("w{i}"), &hello()))
        .collect();
    let mut seen = Vec::new();
    let mut path = "/api/v1/workflows?limit=2".to_owned();
    loop {
        let page = me.get(&path);
        assert_status(&page, 200);
        let rows = page.json["data"].as_array().unwrap().clone();
        assert!(rows.len() <= 2);
        seen.extend(
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page.json["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/workflows?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    let newest_first: Vec<String> = made.into_iter().rev().collect();
    assert_eq!(seen, newest_first);
}

#[test]
fn lists_filter_by_name_and_tag() {
    let me = app().tenant();
    for (name, tag) in [("50% off_sale", "a,b"), ("plain", "x\"y"), ("Other", "z")] {
        let body = json!({"name": name, "definition": hello(), "tags": [tag]});
        assert_status(&me.post("/api/v1/workflows", &body), 201);
    }
    let names = |query: &str| -> Vec<String> {
        let reply = me.get(&format!("/api/v1/workflows?{query}"));
        assert_status(&reply, 200);
        let rows = reply.json["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("name=OTHER"), ["Other"]);
    assert_eq!(names("name=%25"), ["50% off_sale"]);
    assert_eq!(names("name=off_s"), ["50% off_sale"]);
    assert_eq!(names("name=n_t"), Vec::<String>::new());
    assert_eq!(names("tag=a%2Cb"), ["50% off_sale"]);
    assert_eq!(names("tag=x%22y"), ["plain"]);
    assert_eq!(names("tag=a"), Vec::<String>::new());
}

#[test]
fn validation_lists_every_fault_and_stores_nothing() {
    let me = app().tenant();
    let mut broken = hello();
    broken["nodes"][1]["type"] = json!("teleport");
    broken["edges"][1]["target"] = json!("nowhere");
    let verdict = me.post("/api/v1/workflows/validate", &json!({"definition": broken}));
    assert_status(&verdict, 200);
    assert_eq!(verdict.json["valid"], false);
    let pointers: Vec<&str> = verdict.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["pointer"].as_str())
        .collect();
    assert!(
        pointers.contains(&"/definition/nodes/1/type"),
        "{pointers:?}"
    );
    assert!(
        pointers.contains(&"/definition/edges/1/target"),
        "{pointers:?}"
    );

    let good = me.post(
        "/api/v1/workflows/validate",
        &json!({"definition": hello()}),
    );
    assert_eq!(good.json["valid"], true, "{}", good.text);
    assert_eq!(good.json["errors"], json!([]));
    assert_eq!(me.get("/api/v1/workflows").json["data"], json!([]));
}

#[test]
fn text_survives_in_every_script() {
    let me = app().tenant();
    let name = "Grüße 你好 🦀 \"quoted\" \\ %_";
    let id = me.workflow(name, &hello());
    assert_eq!(
        me.get(&format!("/api/v1/workflows/{id}")).json["name"],
        name
    );
}
