//! Error workflows of runs that could not run their own: dead letters, and what cannot run any more.

use super::queue::{accepted, ended, until};
use super::{app, runs::graph};
use e2e::{Tenant, assert_status};
use serde_json::{Value, json};

const EXECUTE: &str = "/api/v1/workflows/execute";

/// A handler that says what it was given.
fn handler() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "out", "type": "output", "data": {"value": "{{ inputs.workflow }}: {{ inputs.error.kind }}"}},
        {"id": "of", "type": "output", "data": {"value": "{{ inputs.execution_id }}"}},
    ]);
    graph(nodes, &[("in", None, "out"), ("in", None, "of")])
}

/// Input → output, with an error workflow.
fn guarded(handler: &str) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "out", "type": "output", "data": {"value": "done"}},
    ]);
    let mut document = graph(nodes, &[("in", None, "out")]);
    document["settings"] = json!({"error_workflow": {"workflow_id": handler, "version": 1}});
    document
}

fn delayed(me: &Tenant, workflow: &str) -> String {
    let body = json!({"workflow_id": workflow, "inputs": {}, "async": true, "queue": {"delay_ms": 3_600_000}});
    accepted(&me.post(EXECUTE, &body))
}

/// As five hosts that died one after the other leave a run. False where nobody may look into the database.
fn lose(run: &str) -> bool {
    let lost = format!(
        "UPDATE execution_queue SET status = 'running', losses = 4, lease_until = now() - interval '1 second'
         WHERE id = '{run}'"
    );
    app().owner(&lost).is_some()
}

/// The runs of a workflow, whole.
fn runs(me: &Tenant, workflow: &str) -> Vec<Value> {
    let list = me.get(&format!("{EXECUTE}?workflow_id={workflow}"));
    assert_status(&list, 200);
    let ids = list.json["data"].as_array().unwrap().iter();
    let ids = ids.map(|run| run["execution_id"].as_str().unwrap().to_owned());
    ids.map(|id| until(me, &id, ended)).collect()
}

#[test]
fn a_dead_letter_tells_its_error_workflow_once() {
    let me = app().tenant();
    let handler = me.workflow("handler", &handler());
    let id = delayed(&me, &me.workflow("main", &guarded(&handler)));
    if !lose(&id) {
        return;
    }
    until(&me, &id, ended);
    let told = runs(&me, &handler);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["outputs"]["out"], "main: dead_letter", "{told:?}");
    assert_eq!(told[0]["outputs"]["of"], json!(id));
    assert_eq!(told[0]["error_of"], json!(id));
    let replay = told[0]["execution_id"].as_str().unwrap();
    let replay = me.post(&format!("{EXECUTE}/{replay}/replay"), &json!({}));
    assert_eq!(replay.json["identical"], true, "{}", replay.text);
    // Given back, it goes on; the error workflow has run.
    assert_status(
        &me.post(&format!("{EXECUTE}/{id}/requeue"), &json!({})),
        200,
    );
    let run = until(&me, &id, |run| ended(run) && run["error"].is_null());
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(runs(&me, &handler).len(), 1);
}

#[test]
fn what_cannot_run_any_more_tells_its_error_workflow() {
    let me = app().tenant();
    let handler = me.workflow("handler", &handler());
    let main = me.workflow("main", &guarded(&handler));
    let id = delayed(&me, &main);
    assert_eq!(me.delete(&format!("/api/v1/workflows/{main}")).status, 204);
    let due = format!("UPDATE execution_queue SET run_after = now() WHERE id = '{id}'");
    if app().owner(&due).is_none() {
        return;
    }
    let run = until(&me, &id, ended);
    assert_eq!(run["error"]["kind"], "cannot_run", "{run}");
    let told = runs(&me, &handler);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["outputs"]["out"], "main: cannot_run", "{told:?}");
}

#[test]
fn an_error_workflow_that_fails_starts_none() {
    let me = app().tenant();
    let last = me.workflow("last", &handler());
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "stop", "type": "stop", "data": {"message": "no"}},
        {"id": "out", "type": "output", "data": {"value": 1}},
    ]);
    let mut failing = graph(nodes, &[("in", None, "stop"), ("stop", None, "out")]);
    failing["settings"] = json!({"error_workflow": {"workflow_id": last, "version": 1}});
    let handler = me.workflow("handler", &failing);
    let id = delayed(&me, &me.workflow("main", &guarded(&handler)));
    if !lose(&id) {
        return;
    }
    until(&me, &id, ended);
    let told = runs(&me, &handler);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["status"], "failed", "{told:?}");
    assert_eq!(runs(&me, &last).len(), 0);
    let log = told[0]["execution_id"].as_str().unwrap();
    let log = me.get(&format!("{EXECUTE}/{log}/log"));
    assert!(!log.text.contains("error_workflow_started"), "{}", log.text);
}
