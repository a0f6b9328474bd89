//! Which answers rested on a document: searches by themselves and in runs, newest first, with the places that its chunks had.

use super::{app, knowledge, runs::graph};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The answers once there are so many: a search's spans are stored after its answer.
fn answers(me: &Tenant, path: &str, many: usize) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = me.get(path);
        assert_status(&found, 200);
        let found = found.json["data"].as_array().unwrap().clone();
        if found.len() == many {
            return found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
    }
}

#[test]
fn the_answers_that_rested_on_a_document_are_found() {
    let me = app().tenant();
    let base = knowledge::base(&me, knowledge::hashed());
    let ids = knowledge::add(&me, &base, knowledge::zoo());
    knowledge::ready(&me, &base, &ids);
    let of = |id: &str| format!("{base}/documents/{id}/answers");
    let (whales, cars) = (of(&ids[0]), of(&ids[1]));
    assert_eq!(answers(&me, &whales, 0), Vec::<Value>::new());
    let sea = json!({"query": "whales in the sea", "mode": "lexical", "k": 1});
    knowledge::search(&me, &base, sea);
    let alone = answers(&me, &whales, 1).remove(0);
    assert_eq!(alone["execution_id"], Value::Null);
    assert_eq!(alone["chunks"][0]["rank"], 1);
    assert_eq!(alone["chunks"][0]["current"], true);
    assert!(alone["chunks"][0]["score"].as_f64() > Some(0.0), "{alone}");

    let find = json!({"knowledge_base": base.rsplit('/').next(), "query": "{{ inputs.question }}", "k": 1, "mode": "lexical"});
    let nodes = json!([{"id": "in", "type": "input", "data": {}}, {"id": "find", "type": "retrieve", "data": find},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.find.output }}"}}]);
    let edges = [("in", None, "find"), ("find", None, "out")];
    let run = me.run(
        &graph(nodes, &edges),
        json!({"question": "songs of whales"}),
    );
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    let both = answers(&me, &whales, 2);
    assert_eq!(both[0]["execution_id"], run.json["execution_id"]);
    assert_eq!(both[0]["trace_id"], run.json["trace_id"]);
    assert_eq!(both[1]["span_id"], alone["span_id"], "newest first");
    let page = me.get(&format!("{whales}?limit=1")).json;
    assert_eq!(page["data"][0]["span_id"], both[0]["span_id"]);
    let next = page["next_cursor"].as_str().unwrap();
    let rest = me.get(&format!("{whales}?limit=1&cursor={next}")).json;
    assert_eq!(rest["data"][0]["span_id"], alone["span_id"]);
    assert_eq!(rest["next_cursor"], Value::Null);
    let later = format!("{whales}?from={}", "2999-01-01T00:00:00Z");
    assert_eq!(answers(&me, &later, 0), Vec::<Value>::new());
    assert_eq!(answers(&me, &cars, 0), Vec::<Value>::new());

    assert_problem(&app().tenant().get(&whales), 404, "not-found");
    let wrong = me.get(&format!("{whales}?from=yesterday"));
    assert_problem(&wrong, 400, "invalid-input");
}
