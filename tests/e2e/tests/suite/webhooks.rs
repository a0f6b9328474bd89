//! Outgoing webhooks: a real receiver verifies what arrives, fails, is gone, and gets it once more.

use super::{app, documents::hello};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use hmac::{Hmac, Mac};
use llm_standin::Arrived;
use nodeai_webhook::{Verifier, verify};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const WEBHOOKS: &str = "/api/v1/webhooks";

/// A receiver that answers with these statuses, one after the other.
struct Receiver {
    path: String,
}

impl Receiver {
    fn answering(statuses: &str) -> Self {
        let who = uuid::Uuid::new_v4().simple();
        Self {
            path: format!("/web/turns/{statuses}/{who}"),
        }
    }

    fn url(&self) -> String {
        format!("{}{}", app().llm.url, self.path)
    }

    fn got(&self) -> Vec<Arrived> {
        let mut all = app().llm.requests();
        all.retain(|request| request.path == self.path);
        all
    }

    /// What has arrived once there are `n` requests. On a host without a ticker somebody has to come.
    fn until(&self, me: &Tenant, n: usize) -> Vec<Arrived> {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let got = self.got();
            if got.len() >= n {
                return got;
            }
            assert!(Instant::now() < deadline, "{} of {n} arrived", got.len());
            drain(me);
        }
    }
}

fn drain(me: &Tenant) {
    assert_status(&me.post(&format!("{WEBHOOKS}/drain"), &json!({})), 200);
}

fn subscribe(me: &Tenant, receiver: &Receiver, more: Value) -> Value {
    let mut body = json!({"name": "hook", "url": receiver.url(), "event_types": ["run.completed"]});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    let made = me.post(WEBHOOKS, &body);
    assert_status(&made, 201);
    assert_eq!(made.header("location"), path_of(&made.json));
    made.json
}

fn path_of(webhook: &Value) -> String {
    format!("{WEBHOOKS}/{}", webhook["id"].as_str().unwrap())
}

fn header<'a>(request: &'a Arrived, name: &str) -> &'a str {
    request.headers[name].as_str().unwrap()
}

fn verified(request: &Arrived, key: &str) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let said = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|n| header(request, n));
    let verifier = Verifier::parse(key).expect("a key");
    let body = request.text.as_bytes();
    verify(
        &verifier,
        (said[0], said[1], said[2]),
        body,
        now.as_secs() as i64,
    )
    .is_ok()
}

/// The one delivery of a webhook, once it is as wanted.
fn delivery(me: &Tenant, webhook: &Value, status: &str) -> Value {
    let id = webhook["id"].as_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let list = me.get(&format!("{WEBHOOKS}/deliveries?webhook_id={id}"));
        assert_status(&list, 200);
        let newest = &list.json["data"][0];
        if newest["status"] == status {
            let id = newest["id"].as_str().unwrap();
            return me.get(&format!("{WEBHOOKS}/deliveries/{id}")).json;
        }
        assert!(Instant::now() < deadline, "not {status}: {}", list.text);
        drain(me);
    }
}

fn runs(me: &Tenant) -> Reply {
    let run = me.run(&hello(), json!({"name": "Ada"}));
    assert_status(&run, 200);
    run
}

#[test]
fn a_run_that_ends_arrives_signed() {
    let me = app().tenant();
    let receiver = Receiver::answering("204");
    let hook = subscribe(&me, &receiver, json!({"headers": {"X-Team": "growth"}}));
    let secret = hook["secret"].as_str().unwrap();
    let read = me.get(&path_of(&hook));
    assert_eq!(
        (&read.json["secret"], read.header("etag")),
        (&Value::Null, "\"v1\"")
    );
    let run = runs(&me);
    let got = &receiver.until(&me, 1)[0];
    assert_eq!(got.body["type"], "run.completed");
    assert_eq!(got.body["data"]["execution_id"], run.json["execution_id"]);
    assert_eq!(got.body["data"]["outputs"]["out"], "Hello, Ada!");
    assert_eq!(header(got, "content-type"), "application/json");
    assert_eq!(header(got, "x-team"), "growth");
    assert!(verified(got, secret), "{got:?}");
    // Once more with nothing of the application's.
    let key = BASE64_STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let signed = format!(
        "{}.{}.{}",
        header(got, "webhook-id"),
        header(got, "webhook-timestamp"),
        got.text
    );
    mac.update(signed.as_bytes());
    let tag = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(header(got, "webhook-signature"), format!("v1,{tag}"));
    let seen = delivery(&me, &hook, "delivered");
    assert_eq!(seen["message_id"], header(got, "webhook-id"));
    assert_eq!(seen["attempts"][0]["status"], 204);
    let kept = seen["attempts"][0]["request"]["headers"]
        .as_object()
        .unwrap();
    assert!(kept.contains_key("webhook-id") && !kept.contains_key("webhook-signature"));
    if let Some(dump) = app().dump() {
        let bare = secret.strip_prefix("whsec_").unwrap();
        assert!(
            !dump.contains(bare),
            "the secret is in the database in clear"
        );
    }
}

#[test]
fn what_fails_is_tried_again_under_the_same_id_and_can_be_replayed() {
    let me = app().tenant();
    let receiver = Receiver::answering("500,302,200");
    let hook = subscribe(&me, &receiver, json!({}));
    let secret = hook["secret"].as_str().unwrap();
    runs(&me);
    let waits = |n: usize| {
        receiver.until(&me, n);
        let seen = delivery(&me, &hook, "pending");
        assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(n));
        assert!(seen["next_at"].is_string(), "{seen}");
        // The clock goes on.
        let id = seen["id"].as_str().unwrap();
        app().owner(&format!(
            "UPDATE public.webhook_deliveries SET next_at = now() WHERE id = '{id}' AND status = 'pending'"
        ))
    };
    if waits(1).is_none() {
        return; // the database is not known here, and the schedule is longer than a test
    }
    waits(2);
    let got = receiver.until(&me, 3);
    let id = header(&got[0], "webhook-id");
    assert!(
        got.iter()
            .all(|request| header(request, "webhook-id") == id)
    );
    assert!(got.iter().all(|request| verified(request, secret)));
    let seen = delivery(&me, &hook, "delivered");
    let statuses: Vec<_> = seen["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["status"])
        .collect();
    assert_eq!(statuses, [500, 302, 200]);
    assert_eq!(seen["attempts"][0]["response"]["body"], "turn 1");
    let replay = format!(
        "{WEBHOOKS}/deliveries/{}/replay",
        seen["id"].as_str().unwrap()
    );
    assert_status(&me.post(&replay, &json!({})), 202);
    let got = receiver.until(&me, 4);
    assert_eq!(header(&got[3], "webhook-id"), header(&got[0], "webhook-id"));
}

#[test]
fn a_receiver_that_is_gone_is_not_asked_again_until_it_is_turned_on() {
    let me = app().tenant();
    let (receiver, ops) = (Receiver::answering("410,200"), Receiver::answering("200"));
    let hook = subscribe(&me, &receiver, json!({}));
    subscribe(&me, &ops, json!({"event_types": ["webhook.disabled"]}));
    runs(&me);
    let told = &ops.until(&me, 1)[0];
    assert_eq!(told.body["data"]["webhook_id"], hook["id"]);
    let off = me.get(&path_of(&hook)).json;
    assert!(off["disabled_at"].is_string(), "{off}");
    assert_eq!(off["disabled_reason"], "the receiver answered 410 Gone");
    runs(&me);
    drain(&me);
    assert_eq!(receiver.got().len(), 1);
    let test = format!("{}/test", path_of(&hook));
    assert_problem(&me.post(&test, &json!({})), 409, "conflict");
    let stale = me.patch_with(
        &path_of(&hook),
        &[("if-match", "\"v1\"")],
        &json!({"enabled": true}),
    );
    assert_problem(&stale, 412, "stale-version");
    let on = me.patch(&path_of(&hook), &json!({"enabled": true}));
    assert_status(&on, 200);
    assert_eq!(on.json["disabled_at"], Value::Null);
    let replayed = me.post(&format!("{}/replay", path_of(&hook)), &json!({}));
    assert_status(&replayed, 202);
    assert_eq!(replayed.json["replayed"], 1);
    assert_eq!(receiver.until(&me, 2)[1].body["type"], "run.completed");
}

#[test]
fn while_a_key_is_rotated_both_sign() {
    let me = app().tenant();
    let receiver = Receiver::answering("200");
    let hook = subscribe(&me, &receiver, json!({}));
    let rotate = format!("{}/rotate", path_of(&hook));
    let rotated = me.post(&rotate, &json!({"overlap_hours": 1, "signing": "ed25519"}));
    assert_status(&rotated, 200);
    assert_eq!(rotated.json["secret"], Value::Null);
    assert!(rotated.json["previous_secret_until"].is_string());
    let tested = me.post(&format!("{}/test", path_of(&hook)), &json!({}));
    assert_status(&tested, 202);
    let got = &receiver.until(&me, 1)[0];
    assert_eq!(got.body["type"], "test");
    let signatures: Vec<&str> = header(got, "webhook-signature").split(' ').collect();
    assert_eq!(signatures.len(), 2, "{signatures:?}");
    for key in [&hook["secret"], &rotated.json["public_key"]] {
        assert!(verified(got, key.as_str().unwrap()), "{key}");
    }
    // Without an overlap the key before ends at once.
    let last = me.post(&rotate, &json!({"overlap_hours": 0}));
    me.post(&format!("{}/test", path_of(&hook)), &json!({}));
    let got = &receiver.until(&me, 2)[1];
    assert!(verified(got, last.json["secret"].as_str().unwrap()));
    assert!(!verified(got, rotated.json["public_key"].as_str().unwrap()));
}

#[test]
fn urls_and_events_that_cannot_be_are_refused_with_their_place() {
    let me = app().tenant();
    let good =
        json!({"name": "h", "url": "https://hooks.example.com/x", "event_types": ["run.failed"]});
    let refused = |changes: Value, pointer: &str| {
        let mut body = good.clone();
        let map = body.as_object_mut().unwrap();
        map.extend(changes.as_object().unwrap().clone());
        let reply = me.post(WEBHOOKS, &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    };
    for url in [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://localhost:1/",
        "https://code.spin.internal/",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "nothing",
    ] {
        refused(json!({"url": url}), "/url");
    }
    refused(json!({"event_types": ["run.exploded"]}), "/event_types/0");
    refused(
        json!({"headers": {"Authorization": "Bearer x"}}),
        "/headers/Authorization",
    );
    refused(
        json!({"headers": {"webhook-id": "x"}}),
        "/headers/webhook-id",
    );
    let made = me.post(WEBHOOKS, &good);
    assert_status(&made, 201);
    let moved = me.patch(
        &path_of(&made.json),
        &json!({"url": "https://192.168.0.1/"}),
    );
    assert_problem(&moved, 400, "invalid-input");
    assert_eq!(moved.json["errors"][0]["pointer"], "/url");
    let events = me.get(&format!("{WEBHOOKS}/events")).json;
    let names: Vec<_> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["type"])
        .collect();
    assert!(names.contains(&&json!("run.completed")) && names.contains(&&json!("alert.opened")));
    assert_status(&me.delete(&path_of(&made.json)), 204);
    assert_problem(&me.get(&path_of(&made.json)), 404, "not-found");
}

#[test]
fn a_repeated_create_gives_the_same_secret_again() {
    let me = app().tenant();
    let receiver = Receiver::answering("200");
    let body = json!({"name": "h", "url": receiver.url()});
    let twice = [0, 1].map(|_| me.post_with(WEBHOOKS, &[("idempotency-key", "once")], &body));
    assert_status(&twice[1], 201);
    assert_eq!(twice[1].header("idempotency-replayed"), "true");
    assert_eq!(twice[0].json, twice[1].json);
    let list = me.get(WEBHOOKS).json;
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_alert_that_opens_and_ends_is_told() {
    let me = app().tenant();
    let receiver = Receiver::answering("200");
    subscribe(
        &me,
        &receiver,
        json!({"event_types": ["alert.opened", "alert.resolved"]}),
    );
    let condition =
        json!({"kind": "threshold", "measure": "runs", "op": "<", "value": 1, "window_hours": 1});
    let rule = json!({"name": "quiet", "condition": condition});
    assert_status(&me.post("/api/v1/observability/rules", &rule), 201);
    let ask = || me.post("/api/v1/observability/evaluate", &json!({}));
    assert_status(&ask(), 200);
    let opened = &receiver.until(&me, 1)[0];
    assert_eq!(
        (&opened.body["type"], &opened.body["data"]["rule_name"]),
        (&json!("alert.opened"), &json!("quiet"))
    );
    runs(&me);
    assert_status(&ask(), 200);
    let resolved = &receiver.until(&me, 2)[1];
    assert_eq!(resolved.body["type"], "alert.resolved");
    assert_eq!(
        resolved.body["data"]["alert_id"],
        opened.body["data"]["alert_id"]
    );
}

#[test]
fn a_workflow_sends_an_event_of_its_own() {
    let me = app().tenant();
    let receiver = Receiver::answering("500,200");
    let hook = subscribe(&me, &receiver, json!({"event_types": ["alert.opened"]}));
    let data = json!({"webhook": hook["id"], "event_type": "order.shipped", "data": {"order": "{{ inputs.order }}"}});
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "tell", "type": "webhook", "data": data},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.tell.output }}"}},
    ]);
    let document = super::runs::graph(nodes, &[("in", None, "tell"), ("tell", None, "out")]);
    let run = me.run(&document, json!({"order": 7}));
    assert_eq!(run.json["status"], "succeeded", "{}", run.text);
    assert_eq!(run.json["outputs"]["out"]["status"], "pending");
    let got = &receiver.until(&me, 2)[1];
    assert_eq!(
        (&got.body["type"], &got.body["data"]),
        (&json!("order.shipped"), &json!({"order": 7}))
    );
    assert!(verified(got, hook["secret"].as_str().unwrap()), "{got:?}");
    let send = |body: Value| me.post(&format!("{}/send", path_of(&hook)), &body);
    let ours = send(json!({"event_type": "run.completed", "data": {}}));
    assert_problem(&ours, 400, "invalid-input");
    assert_eq!(ours.json["errors"][0]["pointer"], "/event_type");
    let big = send(json!({"event_type": "a.b", "data": {"x": "y".repeat(300_000)}}));
    assert_eq!(big.json["errors"][0]["pointer"], "/data", "{}", big.text);
}
