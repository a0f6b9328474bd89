//! Online evaluation: a share of what production answers is judged, once each, and becomes scores of traces and a series.

use super::evaluation_jobs::drain;
use super::{app, runs::graph};
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/rag-evaluation";

/// Answers with what it was told, and rests on a long text, which is not in the hot table of spans.
fn answers() -> Value {
    let long = format!("It opens at nine. {}", "Nothing else. ".repeat(200));
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "out", "type": "output", "data": {"name": "answer", "value": "{{ inputs.say }}"}},
        {"id": "found", "type": "output", "data": {"name": "found", "value": [{"id": "d1", "text": long}]}},
    ]);
    graph(nodes, &[("in", None, "out"), ("in", None, "found")])
}

fn rule(me: &Tenant, workflow: &str, more: Value) -> Value {
    let mut body = json!({"name": "watch", "workflow_id": workflow, "sample_rate": 1, "every_s": 1,
        "reading": {"metrics": ["faithfulness", {"metric": "regex", "name": "says-nine", "pattern": "nine"}],
            "question": "/question", "places": {"answer": "/answer", "contexts": "/found"}},
        "judge": {"model": "judge", "base_url": app().llm.openai()}});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    let made = me.post(&format!("{PATH}/rules"), &body);
    assert_status(&made, 201);
    assert_eq!(made.json["sampled"], 0, "{}", made.text);
    made.json
}

fn ask(me: &Tenant, workflow: &str, say: &str) -> String {
    let inputs = json!({"question": "When?", "say": say});
    let run = me.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": workflow, "inputs": inputs}),
    );
    assert_status(&run, 200);
    run.json["trace_id"].as_str().unwrap().to_owned()
}

fn until(me: &Tenant, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} has not come");
        drain(me);
    }
}

fn scores(me: &Tenant, trace: &str) -> Vec<Value> {
    let path = format!("/api/v1/traces/{trace}/scores");
    let reply = me.get(&path);
    assert_status(&reply, 200);
    reply.json["data"].as_array().unwrap().clone()
}

#[test]
fn what_production_answers_is_judged_once_and_scored() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let workflow = me.workflow("answers", &answers());
    let before = ask(&me, &workflow, "Before the rule.");
    let made = rule(&me, &workflow, json!({}));
    let path = format!("{PATH}/rules/{}", made["id"].as_str().unwrap());
    let good = ask(&me, &workflow, "It opens at nine.");
    let half = ask(&me, &workflow, "It opens at nine. It is blue.");
    until(&me, "the scores", || {
        scores(&me, &good).len() == 2 && scores(&me, &half).len() == 2
    });
    let of = |trace: &str, name: &str| {
        let all = scores(&me, trace);
        let found = all.iter().find(|score| score["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {all:?}")).clone()
    };
    let judged = of(&half, "faithfulness");
    assert_eq!(
        (&judged["score"], &judged["source"]),
        (&json!(0.5), &json!("judge"))
    );
    let plain = of(&good, "says-nine");
    assert_eq!(
        (&plain["score"], &plain["source"]),
        (&json!(1.0), &json!("code"))
    );
    assert_eq!(scores(&me, &before), Vec::<Value>::new());
    // Looked at again and again, a trace is judged once; the runs of judges are not judged.
    let evaluations = || {
        me.get(&format!(
            "{PATH}/evaluations?rule_id={}",
            made["id"].as_str().unwrap()
        ))
    };
    until(&me, "the end of the batches", || {
        let listed = evaluations().json;
        let all = listed["data"].as_array().unwrap();
        all.iter().all(|one| one["status"] == "succeeded")
    });
    for _ in 0..3 {
        drain(&me);
    }
    let now = me.get(&path);
    assert_eq!(
        (
            &now.json["sampled"],
            &now.json["skipped"],
            &now.json["error"]
        ),
        (&json!(2), &json!(0), &Value::Null),
        "{}",
        now.text
    );
    assert_eq!((scores(&me, &good).len(), scores(&me, &half).len()), (2, 2));
    let series = me.get(&format!("{path}/series?step=day"));
    assert_status(&series, 200);
    let points = series.json["data"].as_array().unwrap();
    let point = points.iter().find(|one| one["metric"] == "faithfulness");
    let point = point.unwrap_or_else(|| panic!("{}", series.text));
    assert_eq!(
        (&point["n"], &point["mean"], &point["failed"]),
        (&json!(2), &json!(0.75), &json!(0))
    );
    // Its questions are a dataset like any other.
    let items = me.get(&format!(
        "{PATH}/datasets/{}/items",
        made["dataset_id"].as_str().unwrap()
    ));
    assert_eq!(items.json["data"].as_array().unwrap().len(), 2);
    assert_eq!(items.json["data"][0]["question"], "When?");
    assert_problem(&stranger.get(&path), 404, "not-found");
    let theirs = stranger.get(&format!("{path}/series"));
    assert_problem(&theirs, 404, "not-found");
    assert_status(&me.delete(&path), 204);
    assert_eq!(scores(&me, &good).len(), 2, "what was scored stays");
}

#[test]
fn what_came_while_it_was_paused_is_left_out_and_so_is_what_cannot_be_read() {
    let me = app().tenant();
    let workflow = me.workflow("answers", &answers());
    let plain = json!({"reading": {"metrics": [{"metric": "regex", "pattern": "nine"}], "question": "/question",
        "places": {"answer": "/answer"}}, "judge": null});
    let made = rule(&me, &workflow, plain);
    let path = format!("{PATH}/rules/{}", made["id"].as_str().unwrap());
    let paused = me.patch(&path, &json!({"paused": true}));
    assert_status(&paused, 200);
    let unseen = ask(&me, &workflow, "nine");
    let resumed = me.patch(
        &path,
        &json!({"paused": false, "sample_rate": 1, "budget_usd": 1}),
    );
    assert_status(&resumed, 200);
    assert_eq!(
        resumed.json["budget_usd_micros"], 1_000_000,
        "{}",
        resumed.text
    );
    let run = me.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": workflow, "inputs": {"say": "nine"}}),
    );
    assert_status(&run, 200);
    let seen = ask(&me, &workflow, "nine");
    until(&me, "the score", || scores(&me, &seen).len() == 1);
    until(&me, "the look", || {
        let now = me.get(&path).json;
        now["sampled"] == 1 && now["skipped"] == 1
    });
    assert_eq!(scores(&me, &unseen), Vec::<Value>::new());
}

#[test]
fn bad_rules_have_pointers() {
    let me = app().tenant();
    let workflow = me.workflow("answers", &answers());
    let cases = [
        (json!({"sample_rate": 0}), "/sample_rate"),
        (json!({"deployment_id": workflow}), "/workflow_id"),
        (json!({"reading": {"metrics": []}}), "/reading/metrics"),
        (
            json!({"reading": {"metrics": ["latency_ms"]}}),
            "/reading/metrics/0",
        ),
        (
            json!({"reading": {"metrics": ["context_recall"]}}),
            "/reading/metrics/0",
        ),
        (json!({"judge": null}), "/judge"),
        (json!({"every_s": 0}), "/every_s"),
    ];
    for (more, pointer) in cases {
        let mut body = json!({"name": "bad", "workflow_id": workflow, "sample_rate": 0.5,
            "reading": {"metrics": ["faithfulness"]}, "judge": {"model": "m/m"}});
        let map = body.as_object_mut().unwrap();
        map.extend(more.as_object().unwrap().clone());
        let reply = me.post(&format!("{PATH}/rules"), &body);
        assert_eq!(reply.status, 400, "{more}: {}", reply.text);
        assert!(
            reply.text.contains(&format!("\"{pointer}\"")),
            "{pointer}: {}",
            reply.text
        );
    }
}
