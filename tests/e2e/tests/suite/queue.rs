//! The queue: runs that outlive their request.

use super::{app, documents::hello, runs::graph};
use e2e::{Reply, Tenant, assert_problem, assert_status, client::events};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EXECUTE: &str = "/api/v1/workflows/execute";

/// Leaves a run to the queue.
pub fn enqueue(me: &Tenant, definition: &Value, inputs: Value, queue: Value) -> Reply {
    me.post(
        EXECUTE,
        &json!({"definition": definition, "inputs": inputs, "async": true, "queue": queue}),
    )
}

pub fn accepted(reply: &Reply) -> String {
    assert_status(reply, 202);
    let id = reply.json["execution_id"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("{EXECUTE}/{id}"));
    id
}

/// The run once it is as wanted.
pub fn until(me: &Tenant, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let run = me.get(&format!("{EXECUTE}/{id}"));
        assert_status(&run, 200);
        if wanted(&run.json) {
            return run.json;
        }
        assert!(Instant::now() < deadline, "{}", run.text);
        // On a host without a ticker somebody has to come.
        assert_status(&me.post(&format!("{EXECUTE}/drain"), &json!({})), 200);
    }
}

pub fn ended(run: &Value) -> bool {
    !run["finished_at"].is_null()
}

fn approval() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "wait", "data": {"approval": {"title": "Go?"}, "expires_ms": 600_000}},
        {"id": "yes", "type": "output", "data": {"value": "{{ nodes.ask.output.decision }} {{ inputs.name }}"}},
    ]);
    graph(
        nodes,
        &[("in", None, "ask"), ("ask", Some("approved"), "yes")],
    )
}

#[test]
fn an_async_run_is_accepted_and_ends_with_its_trace() {
    let me = app().tenant();
    let reply = enqueue(&me, &hello(), json!({"name": "Ada"}), json!(null));
    let id = accepted(&reply);
    let run = until(&me, &id, ended);
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(run["mode"], "queued");
    assert_eq!(run["outputs"]["out"], "Hello, Ada!");
    assert_eq!(run["trace_id"], reply.json["trace_id"]);
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run["trace_id"].as_str().unwrap()
    ));
    assert_status(&trace, 200);
    let root = &trace.json["spans"][0];
    let nodes = root["children"].as_array().unwrap().iter();
    let nodes: Vec<_> = nodes.filter_map(|span| span["node_id"].as_str()).collect();
    assert_eq!(nodes, ["in", "greet", "out"], "{}", trace.text);
}

#[test]
fn what_cannot_run_is_not_accepted() {
    let me = app().tenant();
    let broken = json!({"nodes": [], "edges": []});
    assert_problem(
        &enqueue(&me, &broken, json!({}), json!(null)),
        400,
        "invalid-input",
    );
    for (queue, pointer) in [
        (json!({"priority": 101}), "/queue/priority"),
        (json!({"delay_ms": 40_000_000_000_u64}), "/queue/delay_ms"),
        (
            json!({"concurrency": {"key": ""}}),
            "/queue/concurrency/key",
        ),
        (
            json!({"concurrency": {"key": "k", "limit": 0}}),
            "/queue/concurrency/limit",
        ),
    ] {
        let reply = enqueue(&me, &hello(), json!({"name": "Ada"}), queue);
        assert_problem(&reply, 400, "invalid-input");
        assert!(reply.text.contains(pointer), "{}", reply.text);
    }
    let sync = me.post(
        EXECUTE,
        &json!({"definition": hello(), "inputs": {"name": "x"}, "queue": {}}),
    );
    assert_problem(&sync, 400, "invalid-input");
    assert_eq!(me.get(EXECUTE).json["data"], json!([]));
}

#[test]
fn a_repeated_request_is_the_same_run() {
    let me = app().tenant();
    let body = json!({"definition": hello(), "inputs": {"name": "Ada"}, "async": true});
    let key = uuid::Uuid::new_v4().to_string();
    let send = || me.post_with(EXECUTE, &[("idempotency-key", &key)], &body);
    let id = accepted(&send());
    let again = send();
    assert_eq!(accepted(&again), id);
    assert_eq!(again.header("idempotency-replayed"), "true");
    until(&me, &id, ended);
    assert_eq!(me.get(EXECUTE).json["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_delayed_run_waits_and_can_be_cancelled_before_it_begins() {
    let me = app().tenant();
    let queue = json!({"delay_ms": 3_600_000});
    let id = accepted(&enqueue(&me, &hello(), json!({"name": "Ada"}), queue));
    assert_status(&me.post(&format!("{EXECUTE}/drain"), &json!({})), 200);
    let run = me.get(&format!("{EXECUTE}/{id}")).json;
    assert_eq!(
        (&run["status"], &run["attempts"]),
        (&json!("queued"), &json!(0))
    );
    assert!(run["due_at"].is_string(), "{run}");
    let cancel = me.post(&format!("{EXECUTE}/{id}/cancel"), &json!({}));
    assert_status(&cancel, 200);
    assert_eq!(cancel.json["status"], "cancelled", "{}", cancel.text);
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run["trace_id"].as_str().unwrap()
    ));
    assert_status(&trace, 200);
}

#[test]
fn a_run_that_waits_for_somebody_is_parked_and_goes_on_where_it_was() {
    let me = app().tenant();
    let id = accepted(&enqueue(
        &me,
        &approval(),
        json!({"name": "Ada"}),
        json!(null),
    ));
    let run = until(&me, &id, |run| run["status"] == "waiting");
    assert_eq!(run["waits"][0]["node"], "ask", "{run}");
    let answer = json!({"node": "ask", "decision": "approved"});
    assert_status(&me.post(&format!("{EXECUTE}/{id}/resume"), &answer), 200);
    let run = until(&me, &id, ended);
    assert_eq!(run["outputs"]["yes"], "approved Ada", "{run}");
    assert!(run["attempts"].as_i64() >= Some(2), "{run}");
}

#[test]
fn a_parked_run_is_cancelled_by_itself() {
    let me = app().tenant();
    let id = accepted(&enqueue(
        &me,
        &approval(),
        json!({"name": "Ada"}),
        json!(null),
    ));
    until(&me, &id, |run| run["status"] == "waiting");
    assert_status(&me.post(&format!("{EXECUTE}/{id}/cancel"), &json!({})), 200);
    let run = until(&me, &id, ended);
    assert_eq!(run["status"], "cancelled", "{run}");
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run["trace_id"].as_str().unwrap()
    ));
    assert_status(&trace, 200);
}

#[test]
fn runs_of_one_key_run_one_after_the_other() {
    let me = app().tenant();
    let slow = super::runs::ask("openai/latency-200", json!({}));
    let queue = json!({"concurrency": {"key": "one", "limit": 1}});
    let ids: Vec<_> = (0..4)
        .map(|_| {
            accepted(&enqueue(
                &me,
                &slow,
                json!({"question": "?"}),
                queue.clone(),
            ))
        })
        .collect();
    let mut spans: Vec<(String, String)> = ids
        .iter()
        .map(|id| {
            let run = until(&me, id, ended);
            assert_eq!(run["status"], "succeeded", "{run}");
            let text = |name: &str| run[name].as_str().unwrap().to_owned();
            (text("started_at"), text("finished_at"))
        })
        .collect();
    spans.sort();
    for pair in spans.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two ran at once: {spans:?}");
    }
}

#[test]
fn events_of_a_run_can_be_followed_and_taken_up_again() {
    let me = app().tenant();
    let id = accepted(&enqueue(&me, &hello(), json!({"name": "Ada"}), json!(null)));
    let path = format!("{EXECUTE}/{id}/events");
    let all = me.get(&path);
    assert_status(&all, 200);
    let names = |text: &str| -> Vec<String> {
        let told = events(text).into_iter();
        told.map(|(name, data)| format!("{name} {}", data["node_id"].as_str().unwrap_or("")))
            .collect()
    };
    let told = names(&all.text);
    assert_eq!(told.first().unwrap(), "run_started ", "{}", all.text);
    assert_eq!(told.last().unwrap(), "run_finished ", "{}", all.text);
    let finished = events(&all.text).pop().unwrap().1;
    assert_eq!(finished["outputs"]["out"], "Hello, Ada!");
    // The same from the middle on.
    let ids: Vec<&str> = all
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .collect();
    assert_eq!(ids.len(), told.len(), "{}", all.text);
    let from = |last: &str| me.send(Method::GET, &path, &[("last-event-id", last)], Vec::new());
    let rest = from(ids[2]);
    assert_eq!(names(&rest.text), told[3..], "{}", rest.text);
    // And nothing after the end: clients stop coming.
    assert_eq!(from(ids[ids.len() - 1]).status, 204);
    assert_problem(&from("x"), 400, "invalid-input");
}

#[test]
fn an_async_run_can_be_streamed_at_once() {
    let me = app().tenant();
    let body =
        json!({"definition": hello(), "inputs": {"name": "Ada"}, "async": true, "stream": true});
    let told = events(&me.post(EXECUTE, &body).text);
    assert_eq!(told.first().unwrap().0, "run_started", "{told:?}");
    assert_eq!(
        told.last().unwrap().1["outputs"]["out"],
        "Hello, Ada!",
        "{told:?}"
    );
}

#[test]
fn a_streamed_run_has_the_same_ids_as_its_log() {
    let me = app().tenant();
    let body = json!({"definition": hello(), "inputs": {"name": "Ada"}, "stream": true});
    let live = me.post(EXECUTE, &body).text;
    let id = events(&live).pop().unwrap().1["execution_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let replayed = me.get(&format!("{EXECUTE}/{id}/events")).text;
    let ids = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("id: ") || line.starts_with("event: "));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(ids(&live), ids(&replayed));
}

#[test]
fn a_run_whose_key_was_revoked_meanwhile_does_not_run() {
    let me = app().tenant();
    let made = me.post(
        "/api/v1/api-keys",
        &json!({"name": "short", "scopes": ["workflows:run", "workflows:read"]}),
    );
    assert_status(&made, 201);
    let key = app().with_credential(made.json["key"].as_str().unwrap());
    let queue = json!({"delay_ms": 1_500});
    let id = accepted(&enqueue(&key, &hello(), json!({"name": "Ada"}), queue));
    let revoked = me.delete(&format!(
        "/api/v1/api-keys/{}",
        made.json["id"].as_str().unwrap()
    ));
    assert!(revoked.status < 300, "{}", revoked.text);
    let run = until(&me, &id, ended);
    assert_eq!(run["status"], "failed", "{run}");
    assert_eq!(run["error"]["kind"], "owner_gone", "{run}");
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run["trace_id"].as_str().unwrap()
    ));
    assert_status(&trace, 200);
}

#[test]
fn a_run_that_lost_host_after_host_is_a_dead_letter_until_it_is_given_back() {
    let me = app().tenant();
    let queue = json!({"delay_ms": 3_600_000});
    let id = accepted(&enqueue(&me, &hello(), json!({"name": "Ada"}), queue));
    // As five hosts that died one after the other leave it.
    let lost = format!(
        "UPDATE execution_queue SET status = 'running', losses = 4, lease_until = now() - interval '1 second'
         WHERE id = '{id}'"
    );
    if app().owner(&lost).is_none() {
        return;
    }
    let run = until(&me, &id, ended);
    assert_eq!(run["error"]["kind"], "dead_letter", "{run}");
    assert!(run["dead_at"].is_string(), "{run}");
    let other = app().tenant();
    let path = format!("{EXECUTE}/{id}/requeue");
    assert_problem(&other.post(&path, &json!({})), 404, "not-found");
    assert_status(&me.post(&path, &json!({})), 200);
    let run = until(&me, &id, ended);
    assert_eq!(run["outputs"]["out"], "Hello, Ada!", "{run}");
    assert_problem(&me.post(&path, &json!({})), 409, "conflict");
}

#[test]
fn a_caller_drains_the_own_organisation_only() {
    let (me, other) = (app().tenant(), app().tenant());
    let reply = other.post(&format!("{EXECUTE}/drain"), &json!({"most": 10}));
    assert_status(&reply, 200);
    assert_eq!(reply.json["taken"], 0, "{}", reply.text);
    let id = accepted(&enqueue(&me, &hello(), json!({"name": "Ada"}), json!(null)));
    until(&me, &id, ended);
    let nobody = app().with_credential("0123456789abcdef0123456789abcdef");
    assert_eq!(
        nobody.post(&format!("{EXECUTE}/drain"), &json!({})).status,
        401
    );
}
