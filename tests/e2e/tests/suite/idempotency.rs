//! Idempotency keys on every POST.

use super::{app, documents::hello};
use e2e::{assert_problem, assert_status};
use serde_json::json;

#[test]
fn a_repeated_create_gives_the_first_answer_and_makes_nothing() {
    let me = app().tenant();
    let body = json!({"name": "once", "definition": hello()});
    let key = [("idempotency-key", "k-1")];
    let first = me.post_with("/api/v1/workflows", &key, &body);
    let second = me.post_with("/api/v1/workflows", &key, &body);
    assert_status(&second, 201);
    assert_eq!(second.json, first.json);
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(
        me.get("/api/v1/workflows").json["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let other = json!({"name": "other", "definition": hello()});
    let reused = me.post_with("/api/v1/workflows", &key, &other);
    assert_problem(&reused, 422, "idempotency-key-reused");
}

#[test]
fn concurrent_repeats_make_one_workflow() {
    let me = app().tenant();
    let body = json!({"name": "race", "definition": hello()});
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (me, body) = (me.clone(), body.clone());
            std::thread::spawn(move || {
                me.post_with("/api/v1/workflows", &[("idempotency-key", "race")], &body)
            })
        })
        .collect();
    let replies: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    for reply in &replies {
        assert_status(reply, 201);
        assert_eq!(reply.json["id"], replies[0].json["id"]);
    }
    assert_eq!(
        me.get("/api/v1/workflows").json["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_repeated_run_gives_that_execution() {
    let me = app().tenant();
    let body = json!({"definition": hello(), "inputs": {"name": "x"}});
    let key = [("idempotency-key", "run-1")];
    let first = me.post_with("/api/v1/workflows/execute", &key, &body);
    let second = me.post_with("/api/v1/workflows/execute", &key, &body);
    assert_status(&second, 200);
    assert_eq!(second.json, first.json);
    assert_eq!(
        me.get("/api/v1/workflows/execute").json["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let other = json!({"definition": hello(), "inputs": {"name": "y"}});
    let reused = me.post_with("/api/v1/workflows/execute", &key, &other);
    assert_problem(&reused, 422, "idempotency-key-reused");
}

#[test]
fn keys_are_each_callers_own() {
    let (me, you) = (app().tenant(), app().tenant());
    let body = json!({"name": "same key", "definition": hello()});
    let key = [("idempotency-key", "shared")];
    let mine = me.post_with("/api/v1/workflows", &key, &body);
    let yours = you.post_with("/api/v1/workflows", &key, &body);
    assert_status(&yours, 201);
    assert_ne!(mine.json["id"], yours.json["id"]);
}
