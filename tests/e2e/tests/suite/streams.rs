//! Streamed runs.

use super::{app, documents::hello, runs::ask};
use e2e::assert_problem;
use serde_json::json;

#[test]
fn a_stream_tells_each_step_and_ends_with_the_committed_result() {
    let me = app().tenant();
    let events = me.stream(&hello(), json!({"name": "Ada"}));
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"run_started"));
    assert_eq!(names.last(), Some(&"run_finished"));
    let finished: Vec<&str> = events
        .iter()
        .filter(|(name, _)| name == "node_finished")
        .filter_map(|(_, data)| data["node_id"].as_str())
        .collect();
    assert_eq!(finished, ["in", "greet", "out"]);
    let (_, result) = events.last().unwrap();
    assert_eq!(result["outputs"]["out"], "Hello, Ada!");
    // Committed before the last event: the trace is there.
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        result["trace_id"].as_str().unwrap()
    ));
    assert_eq!(trace.status, 200);
}

#[test]
fn tokens_come_as_deltas_that_add_up_to_the_answer() {
    let me = app().tenant();
    let events = me.stream(
        &ask("openai/gpt-4o-mini", json!({})),
        json!({"question": "Say something"}),
    );
    let text: String = events
        .iter()
        .filter(|(name, _)| name == "token")
        .filter_map(|(_, data)| data["text"].as_str())
        .collect();
    let (_, result) = events.last().unwrap();
    assert_eq!(result["status"], "succeeded", "{events:?}");
    assert_eq!(result["outputs"]["out"], text.as_str());
    assert!(result["usage"]["completion_tokens"].as_i64().unwrap() > 0);
}

#[test]
fn what_cannot_start_is_a_problem_and_no_stream() {
    let me = app().tenant();
    let reply = me.post(
        "/api/v1/workflows/execute",
        &json!({"definition": {"nodes": [], "edges": []}, "stream": true}),
    );
    assert_problem(&reply, 400, "invalid-input");
}
