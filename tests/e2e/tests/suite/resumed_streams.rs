//! Streams that were cut off: what becomes of the run, and how its events go on.

use super::queue::{ended, until};
use super::{app, runs::graph};
use e2e::{Tenant, assert_problem, assert_status, client::events};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};

const EXECUTE: &str = "/api/v1/workflows/execute";

/// A run that waits for somebody in its middle.
fn approval() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "wait", "data": {"approval": {"title": "Go?"}, "expires_ms": 600_000}},
        {"id": "yes", "type": "output", "data": {"value": "{{ nodes.ask.output.decision }}"}},
    ]);
    graph(
        nodes,
        &[("in", None, "ask"), ("ask", Some("approved"), "yes")],
    )
}

/// Reads a stream up to what it tells of `node`, and goes: the run, and the id of the last event.
fn cut_off(me: &Tenant, body: &Value, node: &str) -> (String, String) {
    let client = reqwest::blocking::Client::new();
    let request = client.post(format!("{}{EXECUTE}", app().url)).json(body);
    let response = request.bearer_auth(&me.credential).send().unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let (mut run, mut last) = (String::new(), String::new());
    for line in BufReader::new(response).lines() {
        let line = line.unwrap();
        if let Some(id) = line.strip_prefix("id: ") {
            id.clone_into(&mut last);
        }
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let data: Value = serde_json::from_str(data).unwrap();
        if data["type"] == "run_started" {
            data["execution_id"].as_str().unwrap().clone_into(&mut run);
        }
        if data["node_id"] == node {
            return (run, last);
        }
    }
    panic!("the stream ended before {node}");
}

fn ids(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("id: "));
    lines.map(|id| id.parse().unwrap()).collect()
}

#[test]
fn a_run_that_goes_on_without_its_client_is_followed_from_where_it_was_cut() {
    let me = app().tenant();
    let body = json!({"definition": approval(), "stream": true, "on_disconnect": "continue"});
    let (run, last) = cut_off(&me, &body, "in");
    until(&me, &run, |run| run["status"] == "waiting");
    let answer = json!({"node": "ask", "decision": "approved"});
    assert_status(&me.post(&format!("{EXECUTE}/{run}/resume"), &answer), 200);
    let done = until(&me, &run, ended);
    assert_eq!(done["status"], "succeeded", "{done}");
    let path = format!("{EXECUTE}/{run}/events");
    let rest = me.send(Method::GET, &path, &[("last-event-id", &last)], Vec::new());
    assert_status(&rest, 200);
    let (whole, rest) = (me.get(&path).text, rest.text);
    // Nothing twice, nothing lost.
    let last: u64 = last.parse().unwrap();
    let later: Vec<u64> = ids(&whole).into_iter().filter(|id| *id > last).collect();
    assert_eq!(ids(&rest), later, "{rest}");
    let (name, result) = events(&rest).pop().unwrap();
    assert_eq!(name, "run_finished");
    assert_eq!(result["outputs"]["yes"], "approved", "{rest}");
}

#[test]
fn a_run_that_ends_with_its_client_keeps_its_events_under_their_ids() {
    let me = app().tenant();
    let body = json!({"definition": approval(), "stream": true});
    let (run, last) = cut_off(&me, &body, "in");
    let done = until(&me, &run, ended);
    assert_eq!(done["status"], "cancelled", "{done}");
    let path = format!("{EXECUTE}/{run}/events");
    let rest = me.send(Method::GET, &path, &[("last-event-id", &last)], Vec::new());
    assert_status(&rest, 200);
    let last: u64 = last.parse().unwrap();
    assert!(ids(&rest.text).iter().all(|id| *id > last), "{}", rest.text);
    let (name, result) = events(&rest.text).pop().unwrap();
    assert_eq!(
        (name.as_str(), &result["status"]),
        ("run_finished", &json!("cancelled")),
        "{}",
        rest.text
    );
}

#[test]
fn what_becomes_of_a_run_is_asked_of_streams_alone() {
    let me = app().tenant();
    for body in [
        json!({"definition": approval(), "on_disconnect": "continue"}),
        json!({"definition": approval(), "stream": true, "async": true, "on_disconnect": "cancel"}),
        json!({"definition": approval(), "stream": true, "on_disconnect": "cancel", "queue": {}}),
    ] {
        assert_problem(&me.post(EXECUTE, &body), 400, "invalid-input");
    }
    assert_eq!(me.get(EXECUTE).json["data"], json!([]));
}
