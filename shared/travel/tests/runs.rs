//! Whole runs of the runner, recorded, played again and forked; calls to outside are counted.

mod support;

use std::sync::Arc;

use nodeai_engine::{Event, Status, What};
use nodeai_runner::Finished;
use nodeai_travel::{Recording, edited, fork, pair, replay, steps, written};
use serde_json::{Map, Value, json};
use support::{Outside, plan};

fn node(id: &str, kind: &str, data: Value) -> Value {
    json!({"id": id, "type": kind, "data": data})
}

fn document() -> Value {
    let mut inner = node(
        "each-call",
        "http",
        json!({"url": "https://api.example.com/item/{{ item }}"}),
    );
    inner["parentId"] = json!("each");
    let retry =
        json!({"max_attempts": 3, "backoff_ms": 100, "retry_if": "error.kind == 'http_status'"});
    let nodes = json!([
        node("in", "input", json!({})),
        node("now", "date", json!({"operation": "now"})),
        node(
            "flaky",
            "http",
            json!({"url": "https://api.example.com/flaky", "retry": retry})
        ),
        node(
            "secret",
            "http",
            json!({"method": "POST", "url": "https://api.example.com/secret",
            "headers": {"authorization": "Bearer {{ secrets.KEY }}"},
            "body": {"key": "{{ secrets.KEY }}", "loud": "{{ secrets.KEY | upper }}", "plain": "{{ inputs.name }}"}})
        ),
        node(
            "ask",
            "llm",
            json!({"model": "openai/gpt-4o-mini", "base_url": "https://llm.example.com/v1",
            "api_key": "{{ secrets.KEY }}", "prompt": "{{ nodes.flaky.output | tojson }} at {{ run.started_at }}"})
        ),
        node(
            "each",
            "for_each",
            json!({"items": "{{ inputs.items }}", "concurrency": 2})
        ),
        inner,
        node("pause", "wait", json!({"duration_ms": 1_500})),
        node(
            "lost",
            "http",
            json!({"url": "https://api.example.com/lost", "on_error": "continue"})
        ),
        node(
            "out",
            "output",
            json!({"value": {"answer": "{{ nodes.ask.output.text }}", "b": "{{ nodes.flaky.output }}"}})
        ),
    ]);
    let edge = |source: &str, target: &str| json!({"source": source, "target": target});
    let chain = [
        "in", "now", "flaky", "secret", "ask", "each", "pause", "lost", "out",
    ];
    let edges: Vec<Value> = chain
        .windows(2)
        .map(|pair| edge(pair[0], pair[1]))
        .collect();
    json!({"nodes": nodes, "edges": edges})
}

fn inputs() -> Value {
    json!({"name": "Ada", "items": ["x", "y", "z"]})
}

fn first_run(outside: &Outside) -> Finished {
    let finished = outside.run(Arc::new(plan(&document())), inputs());
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    finished
}

fn recorded(log: &[Event]) -> Recording {
    Recording::read(written(log)).unwrap()
}

#[test]
fn a_run_plays_again_byte_for_byte_and_asks_nobody() {
    let outside = Outside::default();
    let finished = first_run(&outside);
    let calls = outside.asked.borrow().len();
    let text = serde_json::to_string(&finished.log).unwrap();
    assert!(!text.contains("s3cr3t"), "a secret is in the log");
    let replayed = replay(Arc::new(plan(&document())), &recorded(&finished.log));
    assert!(replayed.identical, "{:#?}", replayed.divergence);
    assert_eq!(serde_json::to_string(&replayed.events).unwrap(), text);
    assert_eq!(replayed.outputs, finished.outputs);
    assert_eq!(replayed.attempts.unverified, 0);
    assert!(replayed.attempts.calls >= 8 && replayed.attempts.verified >= 4);
    assert_eq!(
        outside.asked.borrow().len(),
        calls,
        "a replay has asked somebody"
    );
}

#[test]
fn what_an_attempt_would_do_otherwise_is_found() {
    let finished = first_run(&Outside::default());
    let at = |node: &str| {
        let starts = |event: &&Event| matches!(&event.what, What::AttemptStarted { node: of, .. } if of == node);
        finished.log.iter().find(starts).unwrap().seq
    };
    let mut log = finished.log.clone();
    let seq = at("ask");
    if let What::AttemptStarted { input, .. } = &mut log[seq as usize].what {
        *input = Some(json!({"prompt": "something else"}));
    }
    let replayed = replay(Arc::new(plan(&document())), &recorded(&log));
    let found = replayed.divergence.unwrap();
    assert_eq!((found.seq, found.what), (seq, "input"));
    assert_eq!(found.node.as_deref(), Some("ask"));
    assert_eq!(found.recorded, json!({"prompt": "something else"}));
    assert_eq!(replayed.differences, 1);
    assert_eq!(
        replayed.status,
        Some(Status::Succeeded),
        "it goes on with what was recorded"
    );
}

#[test]
fn a_secret_does_not_hide_what_else_is_other() {
    let finished = first_run(&Outside::default());
    let mut log = finished.log.clone();
    let mut changed = 0;
    for event in &mut log {
        if let What::AttemptStarted { node, input, .. } = &mut event.what
            && node == "secret"
        {
            let body = input.as_ref().unwrap()["body"].as_str().unwrap().to_owned();
            assert!(
                body.contains("[redacted]") && body.contains("Ada"),
                "{body}"
            );
            input.as_mut().unwrap()["url"] = json!("https://api.example.com/elsewhere");
            changed += 1;
        }
    }
    assert_eq!(changed, 1);
    let replayed = replay(Arc::new(plan(&document())), &recorded(&log));
    assert_eq!(replayed.divergence.unwrap().what, "input");
}

#[test]
fn another_document_is_another_run() {
    let finished = first_run(&Outside::default());
    let mut other = document();
    other["nodes"][3]["data"]["method"] = json!("PUT");
    let replayed = replay(Arc::new(plan(&other)), &recorded(&finished.log));
    assert!(!replayed.identical);
    assert_eq!(replayed.divergence.unwrap().what, "document");
}

#[test]
fn a_log_that_was_cut_says_where() {
    let finished = first_run(&Outside::default());
    let cut = finished.log.len() - 1;
    let replayed = replay(Arc::new(plan(&document())), &recorded(&finished.log[..cut]));
    let found = replayed.divergence.unwrap();
    assert_eq!((found.seq, found.what), (cut as u64, "decision"));
    assert_eq!(found.recorded, Value::Null);
}

#[test]
fn a_fork_calls_only_what_comes_after() {
    let outside = Outside::default();
    let first = first_run(&outside);
    let data = json!({"ask": {"prompt": "Another question", "label": null}});
    let document = document();
    let changed = edited(&document, data.as_object().unwrap()).unwrap();
    let (was, is) = (plan(&document), plan(&changed));
    let none = Map::new();
    let forked = fork(was.definition(), is.definition(), &first.log, "ask", &none).unwrap();
    let reused: Vec<&str> = forked.reused.keys().map(String::as_str).collect();
    assert_eq!(reused, ["flaky", "in", "now", "secret"]);
    assert_eq!(forked.runs, ["ask", "each", "pause", "lost", "out"]);
    let second = Outside::default();
    let plan = Arc::new(is.reusing(forked.reused));
    let finished = second.run(plan.clone(), inputs());
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    assert_eq!(finished.outputs, first.outputs);
    assert_eq!((second.count("/flaky"), second.count("/secret")), (0, 0));
    assert_eq!(second.count("/v1/chat/completions"), 1);
    assert_eq!((second.count("/item/x"), second.count("/item/z")), (1, 1));
    let replayed = replay(plan, &recorded(&finished.log));
    assert!(replayed.identical, "{:#?}", replayed.divergence);
    // What was taken over costs nothing again.
    assert_eq!(finished.usage.prompt_tokens, 11);
    let (a, b) = (steps(&first.log), steps(&finished.log));
    let pairs = pair(&a, &b);
    let ask = pairs
        .iter()
        .find(|pair| pair.a.unwrap().node == "ask")
        .unwrap();
    assert!(!ask.same());
    let diff = ask.diff();
    assert!(diff.output.is_none(), "{:?}", diff.output);
    assert!(
        json!(diff.input.unwrap())
            .to_string()
            .contains("Another question")
    );
    let now = pairs
        .iter()
        .find(|pair| pair.a.unwrap().node == "now")
        .unwrap()
        .diff();
    assert_eq!(now.b.unwrap().shortcut, Some(json!("reused")));
}

#[test]
fn a_fork_starts_at_the_loop_around_its_node_and_takes_given_outputs() {
    let outside = Outside::default();
    let first = first_run(&outside);
    let plan = plan(&document());
    let outputs = json!({"flaky": {"given": true}});
    let outputs = outputs.as_object().unwrap();
    for from in ["each[1]/each-call", "each-call", "each"] {
        let forked = fork(
            plan.definition(),
            plan.definition(),
            &first.log,
            from,
            &Map::new(),
        );
        assert_eq!(forked.unwrap().from, "each", "{from}");
    }
    let forked = fork(
        plan.definition(),
        plan.definition(),
        &first.log,
        "pause",
        outputs,
    )
    .unwrap();
    // What comes after a given output runs too.
    assert_eq!(
        forked.runs,
        ["secret", "ask", "each", "pause", "lost", "out"]
    );
    assert_eq!(forked.reused["flaky"].output, json!({"given": true}));
    let second = Outside::default();
    let finished = second.run(Arc::new(plan.reusing(forked.reused)), inputs());
    assert_eq!(finished.outputs["out"]["b"], json!({"given": true}));
    assert_eq!(second.count("/flaky"), 0);
}

#[test]
fn what_cannot_be_forked_is_said_with_its_place() {
    let first = first_run(&Outside::default());
    let plan = plan(&document());
    let faults = |from: &str, outputs: Value| {
        let outputs = outputs.as_object().unwrap().clone();
        let definition = plan.definition();
        let found = fork(definition, definition, &first.log, from, &outputs).unwrap_err();
        found
            .into_iter()
            .map(|fault| fault.pointer)
            .collect::<Vec<_>>()
    };
    assert_eq!(faults("nobody", json!({})), ["/from"]);
    assert_eq!(faults("@error/ask", json!({})), ["/from"]);
    assert_eq!(
        faults("ask", json!({"a/b": 1, "each-call": 2})),
        ["/outputs/a~1b", "/outputs/each-call"]
    );
    let missing = edited(&document(), json!({"nobody": {}}).as_object().unwrap()).unwrap_err();
    assert_eq!(missing[0].pointer, "/edits/node_data/nobody");
}

#[test]
fn an_edit_before_the_fork_runs_too() {
    let first = first_run(&Outside::default());
    let was = plan(&document());
    let mut changed = document();
    changed["nodes"][2]["data"]["url"] = json!("https://api.example.com/other");
    changed["nodes"][0]["data"]["label"] = json!("a remark changes nothing");
    let is = plan(&changed);
    let forked = fork(
        was.definition(),
        is.definition(),
        &first.log,
        "out",
        &Map::new(),
    )
    .unwrap();
    let reused: Vec<&str> = forked.reused.keys().map(String::as_str).collect();
    assert_eq!(reused, ["in", "now"]);
    // An edit inside of a loop is one of the loop.
    let mut changed = document();
    changed["nodes"][6]["data"]["url"] = json!("https://api.example.com/other/{{ item }}");
    let is = plan(&changed);
    let forked = fork(
        was.definition(),
        is.definition(),
        &first.log,
        "out",
        &Map::new(),
    )
    .unwrap();
    assert_eq!(forked.runs, ["each", "pause", "lost", "out"]);
}
