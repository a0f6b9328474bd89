//! Nodes that use the platform's own areas as the run's owner: files here; knowledge bases and tools with theirs.

use super::{app, queue, runs::graph};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

/// input → the nodes, one after the other → output of the last.
fn chain(nodes: &[(&str, &str, Value)]) -> Value {
    let mut all = vec![json!({"id": "in", "type": "input", "data": {}})];
    let mut edges = Vec::new();
    let mut before = "in";
    for (id, kind, data) in nodes {
        all.push(json!({"id": id, "type": kind, "data": data}));
        edges.push((before, None, *id));
        before = id;
    }
    let value = format!("{{{{ nodes.{before}.output }}}}");
    all.push(json!({"id": "out", "type": "output", "data": {"value": value}}));
    edges.push((before, None, "out"));
    graph(json!(all), &edges)
}

fn output(me: &Tenant, document: &Value, inputs: Value) -> Value {
    let run = me.run(document, inputs);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    run.json["outputs"]["out"].clone()
}

fn error(me: &Tenant, document: &Value, inputs: Value) -> Value {
    let run = me.run(document, inputs);
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "failed", "{}", run.text);
    run.json["error"].clone()
}

fn report() -> (&'static str, &'static str, Value) {
    let data = json!({"name": "report.md", "folder": "reports", "tags": ["weekly"], "content": "# {{ inputs.title }}\n\nall is well"});
    ("write", "file_write", data)
}

#[test]
fn a_file_is_written_and_passed_on_by_reference() {
    let me = app().tenant();
    let read = json!({"file": "{{ nodes.write.output }}", "as": "text"});
    let made = output(
        &me,
        &chain(&[report(), ("read", "file_read", read)]),
        json!({"title": "Week 48"}),
    );
    assert_eq!(made["content"], "# Week 48\n\nall is well");
    assert_eq!(made["encoding"], "text");

    let listed = me.get("/api/v1/files?folder=reports");
    assert_status(&listed, 200);
    let file = &listed.json["data"][0];
    assert_eq!(
        (&file["name"], &file["tags"]),
        (&json!("report.md"), &json!(["weekly"]))
    );

    let extract = json!({"file": file["id"]});
    let made = output(&me, &chain(&[("text", "file_extract", extract)]), json!({}));
    assert_eq!(made["format"], "markdown");
    assert!(
        made["text"].as_str().unwrap().contains("all is well"),
        "{made}"
    );
}

#[test]
fn values_become_json_and_bytes_stay_bytes() {
    let me = app().tenant();
    let write = json!({"name": "rows.json", "content": "{{ inputs.rows }}"});
    let read = json!({"file": "{{ nodes.write.output }}"});
    let document = chain(&[
        ("write", "file_write", write),
        ("read", "file_read", read.clone()),
    ]);
    let made = output(&me, &document, json!({"rows": [{"a": 1}]}));
    assert_eq!(
        (&made["content"], &made["encoding"]),
        (&json!([{"a": 1}]), &json!("json"))
    );
    let write = json!({"name": "a.bin", "base64": "AP8Q"});
    let document = chain(&[("write", "file_write", write), ("read", "file_read", read)]);
    let made = output(&me, &document, json!({}));
    assert_eq!(
        (&made["content"], &made["size_bytes"]),
        (&json!("AP8Q"), &json!(3))
    );
}

#[test]
fn requests_carry_files_and_answers_become_files() {
    let me = app().tenant();
    let send = json!({"url": format!("{}/web/form", app().llm.url), "method": "POST", "body_type": "multipart",
        "body": {"note": "n", "file": "{{ nodes.write.output }}"}});
    let made = output(
        &me,
        &chain(&[report(), ("send", "http", send)]),
        json!({"title": "T"}),
    );
    let part = made["body"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["name"] == "file");
    let part = part.unwrap();
    assert_eq!(
        (&part["filename"], &part["content_type"]),
        (&json!("report.md"), &json!("text/markdown")),
        "{part}"
    );
    assert_eq!(part["bytes"], json!("# T\n\nall is well".as_bytes()));

    let send = json!({"url": format!("{}/web/echo", app().llm.url), "method": "POST", "body_type": "file",
        "body": "{{ nodes.write.output }}", "response_type": "file"});
    let read = json!({"file": "{{ nodes.send.output.body }}", "as": "json"});
    let document = chain(&[
        report(),
        ("send", "http", send),
        ("read", "file_read", read),
    ]);
    let made = output(&me, &document, json!({"title": "T"}));
    assert_eq!(made["content"]["body"], "# T\n\nall is well", "{made}");
}

#[test]
fn a_queued_run_acts_as_its_owner_too() {
    let me = app().tenant();
    let document = chain(&[report()]);
    let asked = queue::enqueue(&me, &document, json!({"title": "Later"}), json!({}));
    let ended = queue::until(&me, &queue::accepted(&asked), queue::ended);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    assert_eq!(ended["outputs"]["out"]["name"], "report.md");
}

#[test]
fn files_of_others_are_not_there_and_what_is_no_file_is_refused() {
    let (me, other) = (app().tenant(), app().tenant());
    let theirs = output(&other, &chain(&[report()]), json!({"title": "secret"}));
    let read = |file: &Value| chain(&[("read", "file_read", json!({"file": file}))]);
    let refused = error(&me, &read(&theirs["$file"]), json!({}));
    assert_eq!(
        (&refused["kind"], &refused["retryable"]),
        (&json!("not_found"), &json!(false)),
        "{refused}"
    );
    let document = chain(&[("read", "file_read", json!({"file": "{{ inputs.file }}"}))]);
    let refused = error(&me, &document, json!({"file": "../../etc/passwd"}));
    assert_eq!(refused["kind"], "config", "{refused}");
    let binary = json!({"file": "{{ nodes.write.output }}", "as": "text"});
    let write = json!({"name": "a.bin", "base64": "/w=="});
    let document = chain(&[
        ("write", "file_write", write),
        ("read", "file_read", binary),
    ]);
    assert_eq!(error(&me, &document, json!({}))["kind"], "not_text");
}

#[test]
fn a_definition_that_came_along_may_do_what_its_key_may() {
    let me = app().tenant();
    let key = |scopes: Value| {
        let made = me.post(
            "/api/v1/api-keys",
            &json!({"name": "narrow", "scopes": scopes}),
        );
        assert_status(&made, 201);
        app().with_credential(made.json["key"].as_str().unwrap())
    };
    let document = chain(&[report()]);
    let narrow = key(json!(["workflows:run", "workflows:read"]));
    let refused = error(&narrow, &document, json!({"title": "T"}));
    assert_eq!(refused["retryable"], false, "{refused}");
    assert!(
        refused["message"].as_str().unwrap().contains("files:write"),
        "{refused}"
    );
    let wider = key(json!(["workflows:run", "files:write"]));
    output(&wider, &document, json!({"title": "T"}));
    // A stored workflow was written by somebody who may.
    let id = me.workflow("writes", &document);
    let run = narrow.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": id, "inputs": {"title": "T"}}),
    );
    assert_status(&run, 200);
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
}

#[test]
fn a_runs_key_is_no_key_for_anybody() {
    let stranger = app().with_credential(&format!("nai_run_{}", "0".repeat(36)));
    assert_problem(&stranger.get("/api/v1/files"), 401, "unauthenticated");
}
