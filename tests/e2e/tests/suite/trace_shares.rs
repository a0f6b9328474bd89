//! Links that show one trace: what they show, what they never show, and how they end.

use super::app;
use super::otlp::{new_trace, send, span};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

fn traced(me: &Tenant, secret: &str) -> String {
    let trace = new_trace();
    let chat = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "user.id": "bob-s-own-id",
        "input.value": secret, "session.id": "one-session", "gen_ai.usage.input_tokens": 10});
    let spans = [
        span(&trace, 1, None, json!({"input.value": secret})),
        span(&trace, 2, Some(1), chat),
    ];
    assert_status(&send(me, &spans), 200);
    trace
}

fn share(me: &Tenant, trace: &str, body: Value) -> Reply {
    let reply = me.post(&format!("/api/v1/traces/{trace}/share"), &body);
    assert_status(&reply, 201);
    reply
}

fn link(made: &Reply) -> String {
    let token = made.json["token"].as_str().unwrap();
    assert!(token.starts_with("nts_") && token.len() == 47);
    format!("/api/v1/traces/shared/{token}")
}

#[test]
fn a_link_shows_the_tree_without_its_payloads() {
    let me = app().tenant();
    let trace = traced(&me, "my own question");
    let made = share(&me, &trace, json!({}));
    assert_eq!(made.json["payloads"], false);
    let visitor = app().with_credential("");
    let opened = visitor.get(&link(&made));
    assert_status(&opened, 200);
    assert_eq!(opened.json["trace"]["trace_id"], trace);
    let child = &opened.json["spans"][0]["children"][0];
    assert_eq!(child["model"], "gpt-4o-mini");
    assert_eq!(child["attributes"]["gen_ai.operation.name"], "chat");
    for hidden in [
        "my own question",
        "bob-s-own-id",
        "one-session",
        "shop",
        &me.user_id,
    ] {
        assert!(!opened.text.contains(hidden), "{hidden}: {}", opened.text);
    }
    assert!(opened.header("ratelimit").contains("links"));
}

#[test]
fn with_payloads_it_shows_them_and_still_nobody() {
    let me = app().tenant();
    let trace = traced(&me, "my own question");
    let made = share(&me, &trace, json!({"payloads": true}));
    let opened = app().with_credential("").get(&link(&made));
    assert_eq!(opened.json["payloads"], true);
    assert_eq!(
        opened.json["spans"][0]["content"]["input"],
        "my own question"
    );
    for hidden in ["bob-s-own-id", "one-session", &me.user_id] {
        assert!(!opened.text.contains(hidden), "{hidden}: {}", opened.text);
    }
}

#[test]
fn a_link_shows_one_trace_until_it_ends() {
    let me = app().tenant();
    let (trace, other) = (traced(&me, "a"), traced(&me, "b"));
    let made = share(&me, &trace, json!({"expires_at": "2999-01-01T00:00:00Z"}));
    let visitor = app().with_credential("");
    let opened = visitor.get(&link(&made));
    assert!(!opened.text.contains(&other));
    assert_problem(
        &visitor.get(&format!("/api/v1/traces/{trace}")),
        401,
        "unauthenticated",
    );
    for token in [
        "nts_x".to_owned(),
        format!("nts_{}", "A".repeat(43)),
        format!("nws_{}", "A".repeat(43)),
    ] {
        let reply = visitor.get(&format!("/api/v1/traces/shared/{token}"));
        assert_problem(&reply, 404, "not-found");
    }
    let list = me.get(&format!("/api/v1/traces/{trace}/shares"));
    assert_eq!(list.json["data"].as_array().unwrap().len(), 1);
    assert!(!list.text.contains("nts_"), "a token is shown once");
    // It ends under its own trace alone.
    let id = made.json["id"].as_str().unwrap();
    let wrong = me.delete(&format!("/api/v1/traces/{other}/shares/{id}"));
    assert_problem(&wrong, 404, "not-found");
    assert_status(&me.delete(made.header("location")), 204);
    assert_problem(&visitor.get(&link(&made)), 404, "not-found");
}

#[test]
fn what_cannot_be_shared_is_said() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let trace = traced(&me, "a");
    let path = format!("/api/v1/traces/{trace}/share");
    assert_problem(&stranger.post(&path, &json!({})), 404, "not-found");
    assert_problem(&stranger.get(&format!("{path}s")), 404, "not-found");
    let past = me.post(&path, &json!({"expires_at": "2020-01-01T00:00:00Z"}));
    assert_problem(&past, 400, "invalid-input");
    assert_eq!(past.json["errors"][0]["pointer"], "/expires_at");
    let none = me.post(&format!("/api/v1/traces/{}/share", new_trace()), &json!({}));
    assert_problem(&none, 404, "not-found");
}

#[test]
fn a_repeated_request_for_a_link_shows_the_same_token() {
    let me = app().tenant();
    let path = format!("/api/v1/traces/{}/share", traced(&me, "a"));
    let ask = || me.post_with(&path, &[("idempotency-key", "link-1")], &json!({}));
    let (first, second) = (ask(), ask());
    assert_status(&first, 201);
    assert_eq!(second.json["token"], first.json["token"]);
    let list = me.get(&format!("{path}s")).json;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
