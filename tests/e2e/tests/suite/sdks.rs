//! The official OpenTelemetry SDKs and the instrumentations OpenInference and OpenLLMetry export over the network, and all
//! that they say they have sent is read back.

use super::app;
use e2e::{Tenant, assert_status, packages};
use llm_standin::StandIn;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Runs a script that sends spans as `me`; answers the spans as the SDK tells them.
fn sent(mut command: Command, me: &Tenant, more: &[&str]) -> Vec<Value> {
    let endpoint = format!("{}/v1/traces", app().url);
    command.args([&endpoint, &me.credential]).args(more);
    let output = command.output().expect("the script runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("its answer is JSON");
    told["spans"].as_array().expect("spans").clone()
}

fn python(what: &str, me: &Tenant) -> Vec<Value> {
    let provider = StandIn::start().expect("the stand-in starts");
    let mut command = Command::new(packages::pip("sdk"));
    let script = e2e::process::root().join("tests/e2e/sdk/send.py");
    command.arg(script).arg(what);
    sent(command, me, &[&provider.url])
}

fn node(encoding: &str, me: &Tenant) -> Vec<Value> {
    let folder = packages::npm("sdk", &["send.mjs"]);
    let mut command = Command::new("node");
    command.arg(folder.join("send.mjs")).arg(encoding);
    sent(command, me, &[])
}

/// The stored spans of the traces of `told`, by their ids.
fn stored(told: &[Value], me: &Tenant) -> BTreeMap<String, Value> {
    let text = |span: &Value| span["trace_id"].as_str().unwrap().to_owned();
    let traces: BTreeSet<String> = told.iter().map(text).collect();
    let mut found = BTreeMap::new();
    for trace in traces {
        let tree = me.get(&format!("/api/v1/traces/{trace}"));
        assert_status(&tree, 200);
        let mut rest = tree.json["spans"].as_array().unwrap().clone();
        while let Some(mut span) = rest.pop() {
            let children = span["children"].take();
            rest.extend(children.as_array().into_iter().flatten().cloned());
            found.insert(span["span_id"].as_str().unwrap().to_owned(), span);
        }
    }
    found
}

/// Whether two values are the same, numbers by what they are: 3 and 3.0 are one number, and so are those that JavaScript
/// writes in another way.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(a, b)| same(a, b))
        }
        (Value::Object(x), Value::Object(y)) => {
            let held = |(key, a): (&String, &Value)| y.get(key).is_some_and(|b| same(a, b));
            x.len() == y.len() && x.iter().all(held)
        }
        _ => a == b,
    }
}

fn assert_same(what: &str, told: &Value, stored: &Value) {
    assert!(same(told, stored), "{what}: sent {told}, stored {stored}");
}

/// Attributes without those that the server has put beside them.
fn own(attributes: &Value) -> Value {
    let all = attributes.as_object().expect("attributes");
    let kept = all.iter().filter(|(name, _)| !name.starts_with("otel."));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn micros(ns: &Value) -> i64 {
    let ns = ns.as_i64().or_else(|| ns.as_str()?.parse().ok());
    ns.expect("ns") / 1_000
}

fn state(attributes: &Value) -> &str {
    attributes["otel.trace_state"].as_str().unwrap_or_default()
}

fn assert_whole(told: &Value, stored: &Value) {
    let name = told["name"].as_str().unwrap();
    for field in ["name", "kind", "parent_span_id", "status"] {
        assert_eq!(told[field], stored[field], "{name}: {field}");
    }
    let message = |span: &Value| {
        let text = span["status_message"].as_str();
        text.unwrap_or_default().to_owned()
    };
    assert_eq!(message(told), message(stored), "{name}");
    assert_eq!(
        json!(micros(&told["start_ns"])),
        stored["start_us"],
        "{name}"
    );
    let (end, kept) = (micros(&told["end_ns"]), &stored["end_us"]);
    assert_eq!(json!(end), *kept, "{name}");
    let attributes = &stored["attributes"];
    assert_same(name, &told["attributes"], &own(attributes));
    assert_same(name, &told["resource"], &attributes["otel.resource"]);
    let scope = &attributes["otel.scope"];
    assert_eq!(told["scope"]["name"], scope["name"], "{name}");
    assert_eq!(told["scope"]["version"], scope["version"], "{name}");
    let beside = scope.get("attributes").cloned().unwrap_or(json!({}));
    assert_same(name, &told["scope"]["attributes"], &beside);
    assert_eq!(told["trace_state"], state(attributes), "{name}");
    let list = |span: &Value, of: &str| span[of].as_array().expect("a list").clone();
    let (events, kept) = (list(told, "events"), list(stored, "events"));
    assert_eq!(events.len(), kept.len(), "{name}: events");
    for (event, kept) in events.iter().zip(&kept) {
        assert_eq!(event["name"], kept["name"], "{name}");
        assert_eq!(json!(micros(&event["at_ns"])), kept["at_us"], "{name}");
        assert_same(name, &event["attributes"], &kept["attributes"]);
    }
    let (links, kept) = (list(told, "links"), list(stored, "links"));
    assert_eq!(links.len(), kept.len(), "{name}: links");
    for (link, kept) in links.iter().zip(&kept) {
        assert_eq!(link["trace_id"], kept["trace_id"], "{name}");
        assert_eq!(link["span_id"], kept["span_id"], "{name}");
        assert_eq!(link["trace_state"], state(&kept["attributes"]), "{name}");
        assert_same(name, &link["attributes"], &own(&kept["attributes"]));
    }
}

/// Everything that was told is stored, and nothing else.
fn assert_all(told: &[Value], me: &Tenant) -> BTreeMap<String, Value> {
    let stored = stored(told, me);
    let names: Vec<&Value> = stored.values().map(|span| &span["name"]).collect();
    assert_eq!(told.len(), stored.len(), "stored: {names:?}");
    for span in told {
        assert_whole(span, &stored[span["span_id"].as_str().unwrap()]);
    }
    stored
}

#[test]
fn all_that_the_sdk_for_python_sends_is_read_back() {
    let me = app().tenant();
    let told = python("sdk", &me);
    assert!(told.len() >= 10);
    assert_all(&told, &me);
}

#[test]
fn all_that_the_sdk_for_node_sends_is_read_back() {
    for encoding in ["proto", "json"] {
        // Both have a span in the same remote trace.
        let me = app().tenant();
        let told = node(encoding, &me);
        assert!(told.len() >= 10, "{encoding}");
        assert_all(&told, &me);
    }
}

/// What both instrumentations say of the same four calls.
fn assert_calls(told: &[Value], me: &Tenant) {
    let stored = assert_all(told, me);
    let calls: Vec<&Value> = stored
        .values()
        .filter(|s| s["measure"] == "model")
        .collect();
    assert_eq!(calls.len(), 4);
    for call in &calls {
        assert_eq!(call["provider"], "openai", "{call}");
    }
    let of = |model: &str| {
        let mut found = calls.iter().filter(|call| call["model"] == model);
        found.next().expect(model)
    };
    let failed = calls.iter().filter(|call| call["status"] == "error");
    assert_eq!(failed.count(), 1);
    let embedding = of("text-embedding-3-small");
    assert!(embedding["prompt_tokens"].as_i64() > Some(0), "{embedding}");
    let chats = calls.iter().filter(|call| call["model"] == "gpt-4o-mini");
    let chats: Vec<&&Value> = chats.collect();
    assert_eq!(chats.len(), 2);
    for chat in chats {
        assert!(chat["prompt_tokens"].as_i64() > Some(0), "{chat}");
        assert!(chat["completion_tokens"].as_i64() > Some(0), "{chat}");
        assert_eq!(chat["priced"], true, "{chat}");
        let messages = &chat["content"]["input_messages"];
        assert!(
            messages[1].to_string().contains("Hallo Welt, 你好"),
            "{chat}"
        );
        let answer = chat["content"]["output_messages"][0].to_string();
        assert!(answer.contains("You said"), "{chat}");
    }
}

#[test]
fn calls_that_openinference_sees_are_read_back_and_understood() {
    let me = app().tenant();
    assert_calls(&python("openinference", &me), &me);
}

#[test]
fn calls_that_openllmetry_sees_are_read_back_and_understood() {
    let me = app().tenant();
    assert_calls(&python("openllmetry", &me), &me);
}
