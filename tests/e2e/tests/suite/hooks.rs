//! Incoming webhooks: real senders, those that only say that they are one, and what their runs get and answer.

use super::{app, runs::graph};
use base64::prelude::{BASE64_STANDARD, Engine};
use e2e::{Reply, Tenant, assert_problem, assert_status, client::events};
use hmac::{Hmac, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const INCOMING: &str = "/api/v1/webhooks/incoming";
const SECRET: &str = "It's a Secret to Everybody";

/// Says who is greeted in the body.
fn greeting() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "out", "type": "output", "data": {"value": "Hello, {{ inputs.body.name }}!"}},
    ]);
    graph(nodes, &[("in", None, "out")])
}

/// Makes a webhook that runs `definition`, verified as GitHub does unless something else is said.
fn hook(me: &Tenant, definition: &Value, more: Value) -> Value {
    let workflow = me.workflow("hooked", definition);
    let mut body = json!({"name": "hook", "workflow_id": workflow, "verification": {"scheme": "github"}, "secret": SECRET});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    map.retain(|_, value| !value.is_null());
    let made = me.post(INCOMING, &body);
    assert_status(&made, 201);
    assert_eq!(made.header("location"), place(&made.json));
    made.json
}

fn place(hook: &Value) -> String {
    format!("{INCOMING}/{}", hook["id"].as_str().unwrap())
}

fn url(hook: &Value) -> &str {
    hook["url"].as_str().unwrap()
}

fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let tag = mac.finalize().into_bytes();
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// What somebody without an account sends.
fn send(url: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let nobody = app().with_credential("");
    nobody.send(Method::POST, url, headers, body.as_bytes().to_vec())
}

/// As GitHub sends it.
fn github(url: &str, secret: &str, delivery: &str, body: &str) -> Reply {
    let signature = signature(secret, body);
    let headers = [
        ("content-type", "application/json"),
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-delivery", delivery),
    ];
    send(url, &headers, body)
}

fn delivery() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The run once it has ended.
fn ended(me: &Tenant, execution_id: &Value) -> Value {
    let id = execution_id.as_str().expect("an execution");
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let run = me.get(&format!("/api/v1/workflows/execute/{id}"));
        assert_status(&run, 200);
        if !run.json["finished_at"].is_null() {
            return run.json;
        }
        assert!(Instant::now() < deadline, "{}", run.text);
        // On a host without a ticker somebody has to come.
        let drained = me.post("/api/v1/workflows/execute/drain", &json!({}));
        assert_status(&drained, 200);
    }
}

fn requests(me: &Tenant, hook: &Value) -> Vec<Value> {
    let listed = me.get(&format!("{}/requests", place(hook)));
    assert_status(&listed, 200);
    listed.json["data"].as_array().unwrap().clone()
}

fn runs(me: &Tenant) -> usize {
    let listed = me.get("/api/v1/workflows/execute").json;
    listed["data"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_signed_request_starts_a_run_with_what_it_brought() {
    let me = app().tenant();
    let hook = hook(&me, &greeting(), json!({"pattern": "orders/{id}"}));
    assert_eq!(hook["secret"], Value::Null);
    let to = url(&hook).replace("{id}", "7%2F8");
    let id = delivery();
    let body = r#"{"name":"Ada"}"#;
    let reply = github(&format!("{to}?a=1&a=2"), SECRET, &id, body);
    assert_status(&reply, 202);
    assert_eq!(reply.json["duplicate"], false);
    let run = ended(&me, &reply.json["execution_id"]);
    assert_eq!(run["status"], "succeeded", "{run}");
    assert_eq!(run["outputs"]["out"], "Hello, Ada!");
    let inputs = &run["inputs"];
    assert_eq!(inputs["body"], json!({"name": "Ada"}));
    assert_eq!(inputs["raw"], body);
    assert_eq!(inputs["query"], json!({"a": ["1", "2"]}));
    assert_eq!(inputs["params"], json!({"id": "7/8"}));
    assert_eq!(
        (&inputs["method"], &inputs["delivery_id"]),
        (&json!("POST"), &json!(id))
    );
    assert_eq!(inputs["headers"]["x-github-delivery"], json!(id));
    assert_eq!(inputs["headers"]["x-hub-signature-256"], Value::Null);
    let seen = &requests(&me, &hook)[0];
    assert_eq!(seen["execution_id"], reply.json["execution_id"]);
    assert_eq!(
        (&seen["verified"], &seen["outcome"]),
        (&json!(true), &json!("started"))
    );
    assert_eq!(seen["headers"]["x-hub-signature-256"], "[redacted]");
    assert_eq!(seen["body"], body);
    if let Some(dump) = app().dump() {
        assert!(
            !dump.contains(SECRET),
            "the secret is in the database in clear"
        );
    }
}

#[test]
fn who_is_not_the_sender_starts_nothing_and_does_not_hear_why() {
    let me = app().tenant();
    let hook = hook(&me, &greeting(), json!({}));
    let body = r#"{"name":"Eve"}"#;
    let forged = github(url(&hook), "another secret", &delivery(), body);
    assert_problem(&forged, 401, "unauthenticated");
    let bare = send(url(&hook), &[], body);
    assert_problem(&bare, 401, "unauthenticated");
    assert_eq!(forged.json["detail"], bare.json["detail"]);
    let seen = requests(&me, &hook);
    let reasons: Vec<_> = seen.iter().map(|r| r["reason"].as_str().unwrap()).collect();
    assert_eq!(
        reasons,
        [
            "the header field x-hub-signature-256 is missing",
            "no signature fits"
        ]
    );
    assert_eq!(runs(&me), 0);
    // What is off is not told from what never was.
    let good = github(
        "/hooks/0123456789abcdef0123456789abcdef",
        SECRET,
        &delivery(),
        body,
    );
    assert_problem(&good, 404, "not-found");
    assert_status(&me.patch(&place(&hook), &json!({"enabled": false})), 200);
    let off = github(url(&hook), SECRET, &delivery(), body);
    assert_problem(&off, 404, "not-found");
    assert_eq!(off.json["detail"], good.json["detail"]);
    assert_problem(
        &github(&format!("{}/more", url(&hook)), SECRET, &delivery(), body),
        404,
        "not-found",
    );
}

#[test]
fn a_delivery_that_comes_again_is_the_same_run() {
    let me = app().tenant();
    let hook = hook(&me, &greeting(), json!({}));
    let (id, body) = (delivery(), r#"{"name":"Ada"}"#);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| github(url(&hook), SECRET, &id, body)))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    replies.iter().for_each(|reply| assert_status(reply, 202));
    let ids: BTreeSet<_> = replies
        .iter()
        .map(|r| r.json["execution_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let first = replies
        .iter()
        .filter(|r| r.json["duplicate"] == false)
        .count();
    assert_eq!((first, runs(&me)), (1, 1));
    // Another delivery with the same content is another one.
    let other = github(url(&hook), SECRET, &delivery(), body);
    assert_eq!(other.json["duplicate"], false);
    // Once the window is over it is taken again.
    let old = "UPDATE public.webhook_deliveries SET created_at = now() - interval '4 days' WHERE dedupe_key =";
    if app().owner(&format!("{old} '{id}'")).is_some() {
        let late = github(url(&hook), SECRET, &id, body);
        assert_eq!(late.json["duplicate"], false, "{}", late.text);
    }
}

#[test]
fn the_answer_is_the_runs_result_or_what_it_says() {
    let me = app().tenant();
    let at_end = hook(&me, &greeting(), json!({"answer_mode": "at_end"}));
    let id = delivery();
    let reply = github(url(&at_end), SECRET, &id, r#"{"name":"Ada"}"#);
    assert_status(&reply, 200);
    assert_eq!(reply.json["outputs"]["out"], "Hello, Ada!");
    assert_eq!(reply.json["status"], "succeeded");
    let again = github(url(&at_end), SECRET, &id, r#"{"name":"Ada"}"#);
    assert_eq!(again.json["execution_id"], reply.json["execution_id"]);

    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "say", "type": "respond", "data": {"status": 201, "body": {"hello": "{{ inputs.body.name }}"},
            "headers": {"x-own": "yes", "set-cookie": "a=b"}}},
    ]);
    let respond = hook(
        &me,
        &graph(nodes, &[("in", None, "say")]),
        json!({"answer_mode": "respond"}),
    );
    let reply = github(url(&respond), SECRET, &delivery(), r#"{"name":"Ada"}"#);
    assert_status(&reply, 201);
    assert_eq!(reply.json, json!({"hello": "Ada"}));
    assert_eq!(
        (reply.header("x-own"), reply.header("set-cookie")),
        ("yes", "")
    );
    assert_eq!(reply.header("content-security-policy"), "sandbox");

    let silent = hook(&me, &greeting(), json!({"answer_mode": "respond"}));
    let reply = github(url(&silent), SECRET, &delivery(), r#"{"name":"Ada"}"#);
    assert_problem(&reply, 502, "run-failed");

    let streamed = hook(&me, &greeting(), json!({"answer_mode": "streamed"}));
    let reply = github(url(&streamed), SECRET, &delivery(), r#"{"name":"Ada"}"#);
    assert_status(&reply, 200);
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let events = events(&reply.text);
    let (name, last) = events.last().expect("events");
    assert_eq!(
        (name.as_str(), &last["outputs"]["out"]),
        ("run_finished", &json!("Hello, Ada!"))
    );
    assert!(
        events.iter().any(|(name, _)| name == "run_started"),
        "{}",
        reply.text
    );
}

#[test]
fn while_a_secret_is_rotated_both_are_taken() {
    let me = app().tenant();
    let hook = hook(&me, &greeting(), json!({}));
    let status = |secret: &str| github(url(&hook), secret, &delivery(), "{}").status;
    let rotate = format!("{}/rotate", place(&hook));
    let rotated = me.post(&rotate, &json!({"scheme": "github", "overlap_hours": 1}));
    assert_status(&rotated, 200);
    let second = rotated.json["secret"].as_str().unwrap().to_owned();
    assert_eq!((status(SECRET), status(&second)), (202, 202));
    let third = "a third secret that is given";
    let body = json!({"scheme": "github", "secret": third, "overlap_hours": 0});
    let rotated = me.post(&rotate, &body);
    assert_eq!(rotated.json["secret"], Value::Null);
    assert_eq!((status(&second), status(third)), (401, 202));
    let other = me.post(
        &rotate,
        &json!({"scheme": "stripe", "secret": "whsec_12345678"}),
    );
    assert_problem(&other, 409, "conflict");
    // Another scheme: what was there before opens nothing any more.
    let changed = json!({"verification": {"scheme": "header_token", "header": "X-Token"}});
    let changed = me.patch(&place(&hook), &changed);
    assert_status(&changed, 200);
    let token = changed.json["secret"].as_str().unwrap();
    assert_eq!(status(third), 401);
    assert_status(&send(url(&hook), &[("x-token", token)], "{}"), 202);
    let stale = me.patch_with(
        &place(&hook),
        &[("if-match", "\"v1\"")],
        &json!({"name": "x"}),
    );
    assert_problem(&stale, 412, "stale-version");
}

#[test]
fn runs_act_as_the_owner_and_end_with_the_owners_rights() {
    let me = app().tenant();
    let key = |scopes: Value| -> (Tenant, String) {
        let made = me.post("/api/v1/api-keys", &json!({"name": "k", "scopes": scopes}));
        assert_status(&made, 201);
        let id = made.json["id"].as_str().unwrap().to_owned();
        (
            app().with_credential(made.json["key"].as_str().unwrap()),
            id,
        )
    };
    // Who may not run workflows has nobody else run them.
    let workflow = me.workflow("w", &greeting());
    let (writer, _) = key(json!(["webhooks:write"]));
    let body = json!({"name": "h", "workflow_id": workflow, "verification": {"scheme": "github"}, "secret": SECRET});
    assert_problem(&writer.post(INCOMING, &body), 403, "forbidden");
    let (maker, id) = key(json!([
        "webhooks:write",
        "workflows:run",
        "workflows:write"
    ]));
    let hook = hook(&maker, &greeting(), json!({}));
    assert_eq!(hook["owner_key_id"], json!(id));
    assert_status(&github(url(&hook), SECRET, &delivery(), "{}"), 202);
    assert_status(&me.delete(&format!("/api/v1/api-keys/{id}")), 204);
    for _ in 0..2 {
        assert_problem(
            &github(url(&hook), SECRET, &delivery(), "{}"),
            403,
            "forbidden",
        );
    }
    let log = me.get("/api/v1/audit-logs?action=webhook.refused").json;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(1), "{log}");
    assert_eq!(requests(&me, &hook)[0]["outcome"], "owner_gone");
    // Whoever turns it on again is who it runs as.
    me.patch(&place(&hook), &json!({"enabled": false}));
    let on = me.patch(&place(&hook), &json!({"enabled": true}));
    assert_eq!(
        (&on.json["owner_key_id"], &on.json["owner_id"]),
        (&Value::Null, &json!(me.user_id))
    );
    assert_status(&github(url(&hook), SECRET, &delivery(), "{}"), 202);
}

#[test]
fn a_webhook_that_listens_keeps_what_comes_and_starts_nothing() {
    let me = app().tenant();
    let open = json!({"listen": true, "verification": {"scheme": "none"}, "secret": null, "methods": ["GET", "PUT"]});
    let hook = hook(&me, &greeting(), open);
    assert!(
        hook["warning"]
            .as_str()
            .unwrap()
            .contains("whoever knows the URL")
    );
    let read = me.get(&place(&hook));
    assert_eq!((&read.json, read.header("etag")), (&hook, "\"v1\""));
    let nobody = app().with_credential("");
    let call = |method: Method, body: Vec<u8>| nobody.send(method, url(&hook), &[], body);
    for n in 0..22 {
        let reply = call(Method::PUT, vec![0xff, n]);
        assert_status(&reply, 202);
        assert_eq!(reply.json["status"], "recorded");
    }
    assert_status(&call(Method::GET, Vec::new()), 202);
    let seen = requests(&me, &hook);
    assert_eq!(seen.len(), 20);
    assert_eq!(
        (&seen[0]["method"], &seen[0]["outcome"]),
        (&json!("GET"), &json!("recorded"))
    );
    assert_eq!(seen[1]["body"], BASE64_STANDARD.encode([0xff, 21]));
    assert_eq!(
        (&seen[1]["body_encoding"], &seen[1]["body_bytes"]),
        (&json!("base64"), &json!(2))
    );
    let wrong = call(Method::POST, Vec::new());
    assert_problem(&wrong, 405, "method-not-allowed");
    assert_eq!(wrong.header("allow"), "GET, PUT");
    assert_eq!(call(Method::HEAD, Vec::new()).status, 405);
    assert_problem(
        &call(Method::PUT, vec![b'x'; (1 << 20) + 1]),
        413,
        "body-too-large",
    );
    assert_eq!((requests(&me, &hook).len(), runs(&me)), (20, 0));
}

#[test]
fn slack_is_told_that_somebody_is_there() {
    let me = app().tenant();
    let slack =
        json!({"verification": {"scheme": "slack"}, "secret": "8f742231b10e8888abcd99yyyzzz85a5"});
    let hook = hook(&me, &greeting(), slack);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let at = now.unwrap().as_secs().to_string();
    let body = r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV"}"#;
    let signed = signature(
        "8f742231b10e8888abcd99yyyzzz85a5",
        &format!("v0:{at}:{body}"),
    );
    let signed = signed.replacen("sha256=", "v0=", 1);
    let headers = [
        ("x-slack-signature", signed.as_str()),
        ("x-slack-request-timestamp", at.as_str()),
        ("content-type", "application/json"),
    ];
    let reply = send(url(&hook), &headers, body);
    assert_status(&reply, 200);
    assert_eq!(reply.text, "3eZbrw1aBm2rZgRNFdxV");
    let forged = [
        ("x-slack-signature", "v0=00"),
        ("x-slack-request-timestamp", at.as_str()),
    ];
    assert_problem(&send(url(&hook), &forged, body), 401, "unauthenticated");
    assert_eq!(runs(&me), 0);
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let me = app().tenant();
    let workflow = me.workflow("w", &greeting());
    let refused = |changes: Value, pointer: &str| {
        let mut body =
            json!({"name": "h", "workflow_id": workflow, "verification": {"scheme": "github"}});
        let map = body.as_object_mut().unwrap();
        map.extend(changes.as_object().unwrap().clone());
        let reply = me.post(INCOMING, &body);
        assert_problem(&reply, 400, "invalid-input");
        let errors = reply.json["errors"].as_array().cloned().unwrap_or_default();
        assert!(
            errors.iter().any(|e| e["pointer"] == pointer),
            "{}",
            reply.text
        );
    };
    refused(json!({"workflow_id": null}), "/workflow_id");
    refused(json!({"pattern": "a//b"}), "/pattern");
    refused(json!({"methods": ["HEAD"]}), "/methods/0");
    refused(json!({"verification": {"scheme": "stripe"}}), "/secret");
    refused(json!({"secret": "short"}), "/secret");
    refused(
        json!({"verification": {"scheme": "none"}, "secret": "a secret of nothing"}),
        "/secret",
    );
    refused(
        json!({"verification": {"scheme": "hmac", "header": "a b"}}),
        "/verification/header",
    );
    refused(
        json!({"delivery_id_from": {"pointer": "id"}}),
        "/delivery_id_from",
    );
    refused(json!({"dedupe_window_s": 1}), "/dedupe_window_s");
    let missing = uuid::Uuid::now_v7().to_string();
    let body = json!({"name": "h", "workflow_id": missing, "verification": {"scheme": "github"}});
    assert_problem(&me.post(INCOMING, &body), 409, "conflict");
    let hook = hook(&me, &greeting(), json!({"rate_per_minute": 1}));
    let statuses: Vec<u16> = (0..12)
        .map(|_| github(url(&hook), SECRET, &delivery(), "{}").status)
        .collect();
    assert_eq!(
        statuses.iter().filter(|s| **s == 429).count(),
        2,
        "{statuses:?}"
    );
    assert_status(&me.delete(&place(&hook)), 204);
    assert_problem(&me.get(&place(&hook)), 404, "not-found");
    let gone = github(url(&hook), SECRET, &delivery(), "{}");
    assert_problem(&gone, 404, "not-found");
}
