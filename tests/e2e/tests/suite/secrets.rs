//! The vault: store, use, reveal, roll back; and that nothing leaks.

use super::app;
use e2e::{Tenant, assert_problem, assert_status};
use serde_json::{Value, json};

const SECRETS: &str = "/api/v1/secrets";

fn store(me: &Tenant, name: &str, value: &str) -> String {
    let made = me.post(SECRETS, &json!({"name": name, "value": value}));
    assert_status(&made, 201);
    assert!(!made.text.contains(value));
    made.json["id"].as_str().unwrap().to_owned()
}

fn reveal(me: &Tenant, id: &str, body: &Value) -> Value {
    let reply = me.post(&format!("{SECRETS}/{id}/reveal"), body);
    assert_status(&reply, 200);
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.json
}

#[test]
fn a_value_comes_out_by_reveal_only_and_leaves_rows() {
    let me = app().tenant();
    let id = store(&me, "TOKEN", "val-7f31c0");
    for path in [
        SECRETS.to_owned(),
        format!("{SECRETS}/{id}"),
        format!("{SECRETS}/{id}/versions"),
    ] {
        let reply = me.get(&path);
        assert_status(&reply, 200);
        assert!(!reply.text.contains("val-7f31c0") && !reply.text.contains("ciphertext"));
    }
    let shown = reveal(&me, &id, &json!({"reason": "a test"}));
    assert_eq!(
        shown,
        json!({"name": "TOKEN", "number": 1, "value": "val-7f31c0"})
    );
    let log = me.get(&format!("{SECRETS}/access-log?secret_id={id}")).json;
    assert_eq!(log["data"][0]["purpose"], "reveal");
    assert_eq!(log["data"][0]["user_id"], me.user_id.as_str());
    let audit = me.get("/api/v1/audit-logs?action=secret.revealed").json;
    assert_eq!(audit["data"][0]["details"]["reason"], "a test");
}

#[test]
fn reveal_needs_its_own_scope() {
    let me = app().tenant();
    let id = store(&me, "TOKEN", "val-1");
    let scopes = json!(["secrets:read", "secrets:write"]);
    let made = me.post("/api/v1/api-keys", &json!({"name": "k", "scopes": scopes}));
    let holder = app().with_credential(made.json["key"].as_str().unwrap());
    assert_status(&holder.get(SECRETS), 200);
    let reply = holder.post(&format!("{SECRETS}/{id}/reveal"), &json!({}));
    assert_problem(&reply, 403, "scope-missing");
}

#[test]
fn versions_come_and_go() {
    let me = app().tenant();
    let id = store(&me, "TOKEN", "one-value");
    let path = format!("{SECRETS}/{id}");
    let added = me.post_with(
        &format!("{path}/versions"),
        &[("if-match", "\"v1\"")],
        &json!({"value": "two-value"}),
    );
    assert_status(&added, 201);
    assert_eq!(added.json["current"], 2);
    assert_eq!(reveal(&me, &id, &json!({}))["value"], "two-value");
    assert_eq!(
        reveal(&me, &id, &json!({"number": 1}))["value"],
        "one-value"
    );
    let back = me.post(&format!("{path}/rollback"), &json!({"number": 1}));
    assert_status(&back, 200);
    assert_eq!(reveal(&me, &id, &json!({}))["value"], "one-value");
    let next = me.post(
        &format!("{path}/versions"),
        &json!({"value": "three-value"}),
    );
    assert_eq!(next.json["current"], 3);
    let nowhere = me.post(&format!("{path}/rollback"), &json!({"number": 9}));
    assert_problem(&nowhere, 409, "conflict");
    let missing = me.post(&format!("{path}/reveal"), &json!({"number": 9}));
    assert_problem(&missing, 404, "not-found");
    let listed = me.get(&format!("{path}/versions")).json;
    let numbers: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["number"].as_i64())
        .collect();
    assert_eq!(numbers, [Some(3), Some(2), Some(1)]);
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&path), 404, "not-found");
}

#[test]
fn bad_secrets_are_refused_and_names_are_unique() {
    let me = app().tenant();
    let cases = [
        (json!({"name": "1X", "value": "v"}), "/name"),
        (json!({"name": "A-B", "value": "v"}), "/name"),
        (json!({"name": "Ключ", "value": "v"}), "/name"),
        (json!({"name": "A".repeat(129), "value": "v"}), "/name"),
        (json!({"name": "A", "value": ""}), "/value"),
        (json!({"name": "A", "value": "x".repeat(65_537)}), "/value"),
        (
            json!({"name": "A", "value": "v", "hosts": ["http://x"]}),
            "/hosts/0",
        ),
        (
            json!({"name": "A", "value": "v", "environment": "moon"}),
            "/environment",
        ),
        (json!({"name": "A"}), "/value"),
    ];
    for (body, pointer) in cases {
        let reply = me.post(SECRETS, &body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(reply.json["errors"][0]["pointer"], pointer);
    }
    store(&me, "A", "first");
    let twice = me.post(SECRETS, &json!({"name": "A", "value": "second"}));
    assert_problem(&twice, 409, "conflict");
    let prod = me.post(
        SECRETS,
        &json!({"name": "A", "value": "third", "environment": "prod"}),
    );
    assert_status(&prod, 201);
}

/// A workflow whose nodes use `NAMES[i]` in every place where a value could come to light.
fn leaky(names: &[String], url: &str) -> Value {
    let mut nodes =
        vec![json!({"id": "in", "type": "input", "position": {"x": 0, "y": 0}, "data": {}})];
    let mut edges = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let secret = format!("{{{{ secrets.{name} }}}}");
        let (kind, data) = match i % 4 {
            0 => (
                "template",
                json!({"template": format!("say {secret} aloud")}),
            ),
            1 => (
                "llm",
                json!({"model": "builtin/echo", "prompt": format!("repeat: {secret}")}),
            ),
            2 => (
                "http",
                json!({"url": format!("{url}/v1/none?q={secret}"), "method": "GET",
                "headers": {"authorization": format!("Bearer {secret}")}}),
            ),
            _ => (
                "http",
                json!({"url": format!("{url}/v1/chat/completions"), "method": "POST",
                "body": format!("not json {secret}")}),
            ),
        };
        let id = format!("n{i}");
        let mut data = data;
        data["on_error"] = json!("continue");
        nodes.push(json!({"id": id, "type": kind, "position": {"x": 0, "y": 0}, "data": data}));
        edges.push(json!({"id": format!("e{i}"), "source": "in", "target": id}));
        edges.push(json!({"id": format!("f{i}"), "source": id, "target": "out"}));
    }
    nodes.push(
        json!({"id": "out", "type": "output", "position": {"x": 0, "y": 0},
        "data": {"value": "{{ nodes.n0.output.text }} {{ nodes.n1.output.text }}"}}),
    );
    json!({"nodes": nodes, "edges": edges})
}

/// The forms in which a value could be found again.
fn forms(value: &str) -> Vec<String> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let percent: String = value.bytes().map(|b| format!("%{b:02X}")).collect();
    let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
    let url: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    vec![
        value.to_owned(),
        STANDARD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        percent,
        hex,
        url,
    ]
}

#[test]
fn twenty_secrets_in_prompts_headers_and_errors_are_found_nowhere() {
    let me = app().tenant();
    let values: Vec<String> = (0..20)
        .map(|i| format!("sv{i}/+{}", uuid::Uuid::new_v4().simple()))
        .collect();
    let names: Vec<String> = (0..20).map(|i| format!("LEAK_{i}")).collect();
    for (name, value) in names.iter().zip(&values) {
        store(&me, name, value);
    }
    let definition = leaky(&names, &app().llm.url);
    let id = me.workflow("leaky", &definition);
    let run = me.post("/api/v1/workflows/execute", &json!({"workflow_id": id}));
    assert_status(&run, 200);
    let trace = me.get(&format!(
        "/api/v1/traces/{}",
        run.json["trace_id"].as_str().unwrap()
    ));
    let execution = run.json["execution_id"].as_str().unwrap();
    let kept = me.get(&format!("/api/v1/workflows/execute/{execution}"));
    let streamed = me.post(
        "/api/v1/workflows/execute",
        &json!({"workflow_id": id, "stream": true}),
    );
    let log = me.get(&format!(
        "{SECRETS}/access-log?execution_id={execution}&limit=200"
    ));
    let opened = log.json["data"].as_array().unwrap();
    assert_eq!(opened.len(), 20, "one row per opening: {}", log.text);
    assert!(
        opened
            .iter()
            .all(|row| row["node_id"].is_string() && row["purpose"] == "run")
    );
    let dump = app().dump().unwrap_or_default();
    let host = app().log();
    for value in &values {
        for form in forms(value) {
            for (place, text) in [
                ("answer", &run.text),
                ("trace", &trace.text),
                ("execution", &kept.text),
                ("stream", &streamed.text),
                ("database", &dump),
                ("log", &host),
            ] {
                assert!(!text.contains(&form), "{form} is in the {place}");
            }
        }
    }
    assert!(run.text.contains("[redacted]"), "{}", run.text);
}

#[test]
fn a_bound_secret_goes_to_its_hosts_only() {
    let me = app().tenant();
    let body = json!({"name": "BOUND", "value": "bound-value-1", "hosts": ["api.example.com"]});
    assert_status(&me.post(SECRETS, &body), 201);
    let run = |kind: &str, data: Value| {
        let definition = json!({
            "nodes": [
                {"id": "in", "type": "input", "position": {"x": 0, "y": 0}, "data": {}},
                {"id": "use", "type": kind, "position": {"x": 0, "y": 0}, "data": data},
                {"id": "out", "type": "output", "position": {"x": 0, "y": 0}, "data": {"value": "done"}},
            ],
            "edges": [{"id": "a", "source": "in", "target": "use"}, {"id": "b", "source": "use", "target": "out"}],
        });
        me.run(&definition, json!({})).json
    };
    let url = app().llm.url.clone();
    let elsewhere = run(
        "http",
        json!({"url": url, "headers": {"authorization": "{{ secrets.BOUND }}"}}),
    );
    assert_eq!(
        elsewhere["error"]["kind"], "secret_host_refused",
        "{elsewhere}"
    );
    let unsent = run("template", json!({"template": "{{ secrets.BOUND }}"}));
    assert_eq!(unsent["error"]["kind"], "secret_host_refused", "{unsent}");
}

#[test]
fn a_tampered_row_does_not_open_and_is_noted() {
    let me = app().tenant();
    let id = store(&me, "TOKEN", "val-9");
    let change = format!(
        "UPDATE public.secret_versions SET ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1)
         WHERE secret_id = '{id}'"
    );
    if app().owner(&change).is_none() {
        return; // somebody else's database
    }
    let reply = me.post(&format!("{SECRETS}/{id}/reveal"), &json!({}));
    assert_problem(&reply, 409, "sealed-value-refused");
    let audit = me.get("/api/v1/audit-logs?action=secret.tampered").json;
    assert_eq!(audit["data"][0]["resource_id"], id.as_str());
}
