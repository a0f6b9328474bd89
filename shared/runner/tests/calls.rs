//! Calls in loops, made again, kept or stopped; runs that wait.

mod documents;
mod support;

use std::time::Instant;

use documents::{around, ask, edge};
use llm_standin::Behaviour;
use nodeai_engine::Status;
use serde_json::{Value, json};
use support::App;

/// input → for each of four numbers a call of the model → output.
fn each_call(app: &App) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "each", "type": "for_each", "data": {"items": "{{ range(4) | list }}", "concurrency": 2}},
            {"id": "call", "type": "llm", "parentId": "each", "data": {
                "model": "openai/gpt-4o-mini", "base_url": app.standin.openai(), "api_key": "k-1",
                "prompt": "{{ item }}", "retry": {"max_attempts": 3, "backoff_ms": 1},
            }},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.each.output | map(attribute='text') | list }}"}},
        ],
        "edges": [edge("in", "each"), edge("each", "out")],
    })
}

#[test]
fn a_loop_calls_a_model_for_each_item_in_order() {
    let app = App::start();
    let finished = app.run(&each_call(&app), json!({}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    let texts: Vec<String> = (0..4).map(|i| format!("You said: {i}")).collect();
    assert_eq!(finished.outputs["out"], json!(texts));
    let calls = finished
        .spans
        .iter()
        .filter(|span| span.node_id.as_deref() == Some("call"));
    let ways: Vec<&Value> = calls
        .map(|span| &span.attributes["nodeai.node.path"])
        .collect();
    assert_eq!(ways.len(), 4);
    assert!(ways.contains(&&json!("each[3]/call")), "{ways:?}");
}

#[test]
fn a_call_has_one_idempotency_key_however_often_it_is_tried() {
    let app = App::start();
    app.standin.script([Behaviour {
        status: Some(503),
        ..Behaviour::default()
    }]);
    let document = ask(
        &app,
        "openai/gpt-4o-mini",
        json!({"api_key": "k", "retry": {"max_attempts": 2, "backoff_ms": 1}}),
    );
    assert_eq!(
        app.run(&document, json!({"q": "x"})).status,
        Status::Succeeded
    );
    let requests = app.standin.requests();
    let keys = requests
        .iter()
        .map(|request| &request.headers["idempotency-key"]);
    let keys: Vec<&Value> = keys.collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].is_string() && keys[0] == keys[1], "{keys:?}");
}

#[test]
fn a_kept_result_needs_no_second_call() {
    let app = App::start();
    let document = ask(
        &app,
        "openai/gpt-4o-mini",
        json!({"api_key": "k", "cache": {"ttl_ms": 60_000}}),
    );
    let first = app.run(&document, json!({"q": "same"}));
    let second = app.run(&document, json!({"q": "same"}));
    assert_eq!(first.outputs, second.outputs);
    assert_eq!(second.usage.cost_pusd, 0);
    assert_eq!(app.standin.requests().len(), 1);
    app.run(&document, json!({"q": "other"}));
    assert_eq!(app.standin.requests().len(), 2);
}

#[test]
fn an_expression_says_whether_to_try_again() {
    for (retry_if, calls) in [("error.kind == 'nope'", 1), ("attempt < 3", 3)] {
        let app = App::start();
        let broken = || Behaviour {
            status: Some(503),
            ..Behaviour::default()
        };
        app.standin
            .script((0..5).map(|_| broken()).collect::<Vec<_>>());
        let retry = json!({"max_attempts": 5, "backoff_ms": 1, "retry_if": retry_if});
        let document = ask(
            &app,
            "openai/gpt-4o-mini",
            json!({"api_key": "k", "retry": retry}),
        );
        assert_eq!(app.run(&document, json!({"q": "x"})).status, Status::Failed);
        assert_eq!(app.standin.requests().len(), calls, "{retry_if}");
    }
}

#[test]
fn a_failed_iteration_stops_the_calls_beside_it() {
    let app = App::start();
    let slow = Behaviour {
        latency_ms: 60_000,
        ..Behaviour::default()
    };
    let refused = Behaviour {
        status: Some(400),
        ..Behaviour::default()
    };
    app.standin.script([slow, refused]);
    let begun = Instant::now();
    let finished = app.run(&each_call(&app), json!({}));
    assert_eq!(finished.status, Status::Failed);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn a_wait_holds_the_run_for_its_time() {
    let app = App::start();
    let begun = Instant::now();
    let finished = app.run(&around("wait", json!({"duration_ms": 120})), json!({}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    assert!(begun.elapsed().as_millis() >= 120, "{:?}", begun.elapsed());
    assert!(finished.outputs["out"]["resumed_at"].is_string());
}
