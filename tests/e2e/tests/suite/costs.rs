//! Costs: sums, their explanation, other prices, own prices, bills.

use super::otlp::{chat, new_trace, send, span};
use super::queue::{accepted, ended, until};
use super::{app, runs::graph};
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

const COSTS: &str = "/api/v1/cost-intelligence";
const EXECUTE: &str = "/api/v1/workflows/execute";

/// Asks the test model: 2 tokens in, 3 out for "Hello, Ada!".
fn echo() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "say", "type": "llm", "data": {"model": "builtin/echo", "prompt": "Hello, {{ inputs.name }}!"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.say.output.text }}"}},
    ]);
    graph(nodes, &[("in", None, "say"), ("say", None, "out")])
}

#[test]
fn calls_are_broken_down_by_what_made_them() {
    let me = app().tenant();
    for _ in 0..2 {
        assert_status(&me.run(&echo(), json!({"name": "Ada"})), 200);
    }
    let by_node = me.get(&format!("{COSTS}/breakdown?by=node"));
    assert_status(&by_node, 200);
    let rows = by_node.json["data"].as_array().unwrap();
    let say = rows.iter().find(|row| row["key"] == "say").unwrap();
    assert_eq!(say["calls"], 2);
    assert_eq!(say["tokens"]["uncached"], 4);
    assert_eq!(say["tokens"]["output_text"], 6);
    assert_eq!(say["cost"]["usd"], "0");
    for by in [
        "model",
        "provider",
        "workflow",
        "user",
        "day",
        "tag",
        "prompt_version",
        "session",
        "end_user",
        "tier",
        "cache_state",
    ] {
        assert_status(&me.get(&format!("{COSTS}/breakdown?by={by}")), 200);
    }
    let stranger = app().tenant();
    let theirs = stranger.get(&format!("{COSTS}/breakdown?by=node"));
    assert_eq!(theirs.json["total"]["calls"], 0);
}

#[test]
fn runs_are_found_and_counted_by_what_their_caller_says_of_them() {
    let me = app().tenant();
    let said = |more: Value| {
        let trace = json!({"session_id": "s 1", "end_user": "u-1", "tags": ["acme", "beta", "acme"], "prompt_version": "7"});
        let mut body = json!({"definition": echo(), "inputs": {"name": "Ada"}, "trace": trace});
        let fields = body.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        body
    };
    assert_status(&me.post(EXECUTE, &said(json!({}))), 200);
    assert_status(&me.post(EXECUTE, &said(json!({"stream": true}))), 200);
    let queued = accepted(&me.post(EXECUTE, &said(json!({"async": true}))));
    until(&me, &queued, ended);
    assert_status(&me.run(&echo(), json!({"name": "Bob"})), 200);
    for (by, key) in [
        ("session", "s 1"),
        ("end_user", "u-1"),
        ("tag", "acme"),
        ("tag", "beta"),
        ("prompt_version", "7"),
    ] {
        let found = me.get(&format!("{COSTS}/breakdown?by={by}"));
        let rows = found.json["data"].as_array().unwrap();
        let calls = |key: Value| {
            let row = rows.iter().find(|row| row["key"] == key);
            row.unwrap_or(&Value::Null)["tokens"]["uncached"].clone()
        };
        assert_eq!(calls(json!(key)), 6, "{by} {}", found.text);
        assert_eq!(calls(Value::Null), 2, "{by} {}", found.text);
    }
    for q in ["session:\"s 1\"", "user:u-1", "tag:beta kind:run"] {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let found = me.get(&format!("/api/v1/traces?q={q}"));
        assert_eq!(found.json["data"].as_array().unwrap().len(), 3, "{q}");
    }
    for (trace, pointer) in [
        (json!({"session_id": ""}), "/trace/session_id"),
        (json!({"end_user": "x".repeat(201)}), "/trace/end_user"),
        (json!({"tags": vec!["x"; 51]}), "/trace/tags"),
        (json!({"tags": ["a", ""]}), "/trace/tags/1"),
        (json!({"prompt_version": ""}), "/trace/prompt_version"),
    ] {
        let refused = me.post(EXECUTE, &said(json!({"trace": trace})));
        assert_problem(&refused, 400, "invalid-input");
        assert_eq!(refused.json["errors"][0]["pointer"], pointer);
    }
}

#[test]
fn a_wrong_question_says_where() {
    let me = app().tenant();
    for query in [
        "by=planet",
        "by=node&from=yesterday",
        "by=node&workflow_id=7",
        "by=node&colour=red",
        "by=node&limit=0",
    ] {
        let refused = me.get(&format!("{COSTS}/breakdown?{query}"));
        assert_problem(&refused, 400, "invalid-input");
    }
    let body = json!({"from": "2026-11-01", "to": "2026-11-02", "tier": "gold"});
    let refused = me.post(&format!("{COSTS}/reprice"), &body);
    assert_problem(&refused, 400, "invalid-input");
    assert_eq!(refused.json["errors"][0]["pointer"], "/tier");
}

#[test]
fn a_change_is_explained_and_use_is_repriced() {
    let me = app().tenant();
    assert_status(&me.run(&echo(), json!({"name": "Ada"})), 200);
    let explained = me.get(&format!("{COSTS}/explain?by=node"));
    assert_status(&explained, 200);
    assert_eq!(explained.json["total"]["change"]["usd"], "0");
    let window = me.get(&format!("{COSTS}/breakdown?by=node")).json;
    let body = json!({"from": window["from"], "to": window["to"], "models": {"builtin/echo": "openai/gpt-4o-mini"}});
    let repriced = me.post(&format!("{COSTS}/reprice"), &body);
    assert_status(&repriced, 200);
    // 2 × 0.15 + 3 × 0.60 USD per million tokens.
    assert_eq!(repriced.json["after"]["usd"], "0.0000021");
    assert_eq!(repriced.json["models"][0]["as_model"], "openai/gpt-4o-mini");
}

#[test]
fn own_prices_are_kept_and_count_in_repricing() {
    let me = app().tenant();
    assert_status(&me.run(&echo(), json!({"name": "Ada"})), 200);
    let own =
        json!({"model": "builtin/echo", "entry": {"usd": {"input": "1000000", "output": "0"}}});
    let made = me.post(&format!("{COSTS}/overrides"), &own);
    assert_status(&made, 201);
    let window = me.get(&format!("{COSTS}/breakdown?by=node")).json;
    let body = json!({"from": window["from"], "to": window["to"]});
    let repriced = me.post(&format!("{COSTS}/reprice"), &body);
    assert_eq!(repriced.json["after"]["usd"], "2");
    let wrong = json!({"model": "builtin/echo", "entry": {"usd": {"input": "cheap"}}});
    assert_problem(
        &me.post(&format!("{COSTS}/overrides"), &wrong),
        400,
        "invalid-input",
    );
}

#[test]
fn own_prices_count_in_what_runs_and_ingest_cost_at_once() {
    let me = app().tenant();
    let own =
        json!({"model": "builtin/echo", "entry": {"usd": {"input": "1000000", "output": "0"}}});
    let made = me.post(&format!("{COSTS}/overrides"), &own);
    assert_status(&made, 201);
    let run = me.run(&echo(), json!({"name": "Ada"}));
    assert_status(&run, 200);
    let version = format!("override/{}/1", made.json["id"].as_str().unwrap());
    let spans = |trace: &str| me.get(&format!("/api/v1/traces/{trace}")).json["spans"].to_string();
    let of_run = spans(run.json["trace_id"].as_str().unwrap());
    assert!(of_run.contains(&version), "{of_run}");
    let by_node = me.get(&format!("{COSTS}/breakdown?by=node"));
    assert_eq!(by_node.json["total"]["cost"]["usd"], "2");
    // An ingest of another model, before and after there is a price of the own.
    let half = json!({"model": "openai/gpt-4o-mini", "entry": {"basis_points": 5_000}});
    let costs: Vec<Value> = (0..2)
        .map(|turn| {
            let trace = new_trace();
            assert_status(&send(&me, &[span(&trace, 1, None, chat())]), 200);
            if turn == 0 {
                let made = me.post(&format!("{COSTS}/overrides"), &half);
                assert_status(&made, 201);
            }
            me.get(&format!("/api/v1/traces/{trace}")).json["spans"][0].clone()
        })
        .collect();
    // 1,000 × 0.15 and 100 × 0.60 USD per million tokens.
    assert_eq!(costs[0]["cost_usd"], "0.00021");
    assert_eq!(costs[1]["cost_usd"], "0.000105");
    let version = costs[1]["price_version"].as_str().unwrap();
    assert!(version.contains("+override/"), "{version}");
    // Nobody else pays them.
    let (other, trace) = (app().tenant(), new_trace());
    assert_status(&send(&other, &[span(&trace, 1, None, chat())]), 200);
    let theirs = other.get(&format!("/api/v1/traces/{trace}")).json;
    assert_eq!(theirs["spans"][0]["cost_usd"], "0.00021");
}

#[test]
fn a_bill_is_held_against_what_was_counted() {
    let me = app().tenant();
    let content = "model,input_tokens,input_cached_tokens,output_tokens\ngpt-4o,100,40,9";
    let body = json!({"provider": "openai", "source": "usage.csv", "from": "2026-11-01", "to": "2026-11-02", "content": content});
    let made = me.post(&format!("{COSTS}/reconciliations"), &body);
    assert_status(&made, 201);
    assert_eq!(made.json["result"]["agrees"], false);
    assert_eq!(made.json["result"]["tokens"][0]["difference"], 60);
    let path = format!(
        "{COSTS}/reconciliations/{}",
        made.json["id"].as_str().unwrap()
    );
    assert_eq!(me.get(&path).json["result"], made.json["result"]);
    assert_problem(&app().tenant().get(&path), 404, "not-found");
    let csv = me.get(&format!("{COSTS}/chargeback.csv"));
    assert_status(&csv, 200);
    assert_status(&me.get(&format!("{COSTS}/advice")), 200);
    assert_status(&me.get(&format!("{COSTS}/catalogue?provider=openai")), 200);
    assert_status(&me.get(&format!("{COSTS}/catalogue/versions")), 200);
}
