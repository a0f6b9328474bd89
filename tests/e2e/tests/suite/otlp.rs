//! Spans over OTLP/HTTP: stored once, read back whole, refused as exporters expect it.

use super::app;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use reqwest::Method;
use serde_json::{Value, json};

fn now_ns() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_nanos()
}

/// An id that no other test has.
pub fn new_trace() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// One OTLP span; attributes are texts and integers.
pub fn span(trace: &str, number: u8, parent: Option<u8>, attributes: Value) -> Value {
    let list = attributes
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => json!({"key": key, "value": {"stringValue": text}}),
            other => json!({"key": key, "value": {"intValue": other.to_string()}}),
        });
    let start = now_ns();
    json!({"traceId": trace, "spanId": format!("{number:016x}"), "name": format!("step {number}"), "kind": 3,
        "parentSpanId": parent.map(|p| format!("{p:016x}")).unwrap_or_default(),
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 5_000_000).to_string(),
        "attributes": list.collect::<Value>(), "status": {"code": 1},
        "events": [{"timeUnixNano": start.to_string(), "name": "e", "attributes": []}],
        "links": [{"traceId": "f".repeat(32), "spanId": "e".repeat(16), "attributes": []}]})
}

/// A call to a model.
pub fn chat() -> Value {
    json!({"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.prompt_tokens": 1000, "gen_ai.usage.completion_tokens": 100, "my.own": "日本語"})
}

/// Posts spans as JSON.
pub fn send(me: &Tenant, spans: &[Value]) -> Reply {
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]});
    me.post(
        "/v1/traces",
        &json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}),
    )
}

#[test]
fn a_sent_span_is_there_once_and_whole() {
    let me = app().tenant();
    let trace = new_trace();
    let spans = [
        span(&trace, 1, None, json!({})),
        span(&trace, 2, Some(1), chat()),
    ];
    for _ in 0..2 {
        let reply = send(&me, &spans);
        assert_status(&reply, 200);
        assert_eq!(reply.json, json!({}));
    }
    let tree = me.get(&format!("/api/v1/traces/{trace}"));
    assert_eq!(tree.json["trace"]["kind"], "ingest");
    assert_eq!(tree.json["trace"]["span_count"], 2);
    let call = &tree.json["spans"][0]["children"][0];
    for (key, value) in chat().as_object().unwrap() {
        assert_eq!(call["attributes"][key], *value, "{key}");
    }
    assert_eq!(call["attributes"]["otel.resource"]["service.name"], "shop");
    assert_eq!(call["events"][0]["name"], "e");
    assert_eq!(call["links"][0]["span_id"], "e".repeat(16));
    assert_eq!(
        (&call["provider"], &call["prompt_tokens"], &call["priced"]),
        (&json!("openai"), &json!(1000), &json!(true))
    );
}

#[test]
fn protobuf_is_taken_and_answered_in_protobuf() {
    let me = app().tenant();
    // An empty request is a valid one; so is its answer.
    let headers = [("content-type", "application/x-protobuf")];
    let reply = me.send(Method::POST, "/v1/traces", &headers, Vec::new());
    assert_status(&reply, 200);
    assert_eq!(reply.header("content-type"), "application/x-protobuf");
    assert_eq!(reply.text, "");
    let bad = me.send(
        Method::POST,
        "/v1/traces",
        &headers,
        b"\xff\xff\xff".to_vec(),
    );
    assert_status(&bad, 400);
    assert_eq!(bad.header("content-type"), "application/x-protobuf");
}

#[test]
fn bad_spans_are_rejected_and_good_ones_stored() {
    let me = app().tenant();
    let trace = new_trace();
    let mut bad = span(&trace, 2, None, json!({}));
    bad["traceId"] = json!("0".repeat(32));
    let reply = send(&me, &[span(&trace, 1, None, json!({})), bad]);
    assert_status(&reply, 200);
    assert_eq!(reply.json["partialSuccess"]["rejectedSpans"], "1");
    let why = reply.json["partialSuccess"]["errorMessage"]
        .as_str()
        .unwrap();
    assert!(why.contains("trace id"), "{why}");
    assert_status(&me.get(&format!("/api/v1/traces/{trace}")), 200);
}

#[test]
fn what_is_no_otlp_is_refused() {
    let me = app().tenant();
    let text = me.send(
        Method::POST,
        "/v1/traces",
        &[("content-type", "text/plain")],
        b"x".to_vec(),
    );
    assert_problem(&text, 415, "unsupported-media-type");
    let json = [("content-type", "application/json")];
    let malformed = me.send(Method::POST, "/v1/traces", &json, b"{".to_vec());
    assert_status(&malformed, 400);
    assert_eq!(
        malformed.json["code"], 3,
        "google.rpc.Status: INVALID_ARGUMENT"
    );
    let packed = [
        ("content-type", "application/json"),
        ("content-encoding", "br"),
    ];
    assert_status(
        &me.send(Method::POST, "/v1/traces", &packed, b"{}".to_vec()),
        415,
    );
    let many: Vec<Value> = (0..10_001).map(|_| json!({})).collect();
    assert_status(&send(&me, &many), 413);
}

#[test]
fn whoever_may_only_read_sends_nothing() {
    let me = app().tenant();
    let key = me.post(
        "/api/v1/api-keys",
        &json!({"name": "r", "scopes": ["traces:read"]}),
    );
    let reader = app().with_credential(key.json["key"].as_str().unwrap());
    assert_problem(
        &send(&reader, &[span(&new_trace(), 1, None, json!({}))]),
        403,
        "scope-missing",
    );
}
