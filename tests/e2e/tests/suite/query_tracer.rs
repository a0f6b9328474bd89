//! Queries end to end: from the spans of an OpenInference client to one object, and why a chunk is not in its answer.

use super::app;
use super::otlp::{new_trace, send, span};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

const QUESTION: &str = "When does the archive open?";

/// Id, text, score.
const CHUNKS: [(&str, &str, &str); 6] = [
    (
        "c1",
        "The archive opens at nine in the morning on every day of the week.",
        "0.91",
    ),
    ("c2", "Readers need a card, which the desk gives.", "0.85"),
    ("c3", "Photographs are allowed without flash.", "0.74"),
    ("c4", "The old town hall was built of sandstone.", "0.55"),
    ("c5", "Bicycles are parked behind the house.", "0.41"),
    ("c6", "The library of the chapter is closed.", "0.32"),
];

/// Documents as OpenInference flattens them.
fn flat(prefix: &str, chunks: &[(&str, &str, &str)]) -> Map<String, Value> {
    let mut a = Map::new();
    for (at, (id, text, score)) in chunks.iter().enumerate() {
        a.insert(format!("{prefix}.{at}.document.id"), json!(id));
        a.insert(format!("{prefix}.{at}.document.content"), json!(text));
        a.insert(format!("{prefix}.{at}.document.score"), json!(score));
    }
    a
}

fn joined(parts: &[&Map<String, Value>], more: Value) -> Value {
    let mut all: Map<String, Value> = more.as_object().unwrap().clone();
    for part in parts {
        all.extend((*part).clone());
    }
    Value::Object(all)
}

/// A span at a time of its own, so that stages have an order; ms.
fn timed(
    trace: &str,
    number: u8,
    parent: Option<u8>,
    ms: (u128, u128),
    attributes: Value,
) -> Value {
    let mut span = span(trace, number, parent, attributes);
    // All spans count from the same moment.
    static BASE: OnceLock<u128> = OnceLock::new();
    let now = || span["startTimeUnixNano"].as_str().unwrap().parse().unwrap();
    let base = *BASE.get_or_init(now);
    span["startTimeUnixNano"] = json!((base + ms.0 * 1_000_000).to_string());
    span["endTimeUnixNano"] = json!((base + ms.1 * 1_000_000).to_string());
    span
}

/// Sends a query: the retriever finds six, the reranker gets four and gives three, the prompt has two.
fn rag(me: &Tenant) -> String {
    let trace = new_trace();
    let found = flat("retrieval.documents", &CHUNKS);
    let given = flat("reranker.input_documents", &CHUNKS[..4]);
    let ranked = flat(
        "reranker.output_documents",
        &[CHUNKS[1], CHUNKS[0], CHUNKS[2]],
    );
    let context = format!("[1] {}\n[2] {}", CHUNKS[1].1, CHUNKS[0].1);
    let llm = json!({"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o-mini", "llm.provider": "openai",
        "llm.token_count.prompt": 1000, "llm.token_count.completion": 100,
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": context,
        "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": QUESTION,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "At nine [2]."});
    let spans = [
        timed(
            &trace,
            1,
            None,
            (0, 100),
            json!({"openinference.span.kind": "CHAIN", "input.value": QUESTION}),
        ),
        timed(
            &trace,
            2,
            Some(1),
            (5, 25),
            joined(
                &[&found],
                json!({"openinference.span.kind": "RETRIEVER", "input.value": "archive opening hours"}),
            ),
        ),
        timed(
            &trace,
            3,
            Some(1),
            (26, 40),
            joined(
                &[&given, &ranked],
                json!({"openinference.span.kind": "RERANKER", "reranker.query": QUESTION, "reranker.top_k": 3}),
            ),
        ),
        timed(&trace, 4, Some(1), (41, 99), llm),
    ];
    assert_status(&send(me, &spans), 200);
    trace
}

fn why(me: &Tenant, trace: &str, chunk: &str) -> Reply {
    let reply = me.get(&format!("/api/v1/query-tracer/{trace}/why?chunk={chunk}"));
    assert_status(&reply, 200);
    reply
}

#[test]
fn a_query_is_one_object() {
    let me = app().tenant();
    let trace = rag(&me);
    let reply = me.get(&format!("/api/v1/query-tracer/{trace}"));
    assert_status(&reply, 200);
    let query = &reply.json;
    assert_eq!(query["trace_id"], trace);
    assert_eq!(query["question"], QUESTION);
    assert_eq!(query["rewrites"][0]["text"], "archive opening hours");
    let kinds: Vec<&str> = query["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["retrieval", "rerank", "select"]);
    let first = &query["stages"][0]["candidates"][0];
    assert_eq!(
        (&first["chunk_id"], &first["rank"], &first["score"]),
        (&json!("c1"), &json!(1), &json!(0.91))
    );
    assert_eq!(query["stages"][1]["settings"]["top_n"], 3);
    assert_eq!(query["answer"]["text"], "At nine [2].");
    let cite = &query["answer"]["cites"][0];
    assert_eq!(
        (&cite["chunk_id"], &cite["how"]),
        (&json!("c1"), &json!("marker"))
    );
    assert_eq!(query["usage"]["tokens"], 1100);
    assert!(query["usage"]["cost_usd_micros"].as_i64().unwrap() > 0);
    assert_eq!(query["latency_ms"], 100.0);

    let prompt = me.get(&format!("/api/v1/query-tracer/{trace}/prompt"));
    assert_eq!(prompt.json["messages"][1]["content"], QUESTION);
    assert_eq!(prompt.json["chunks"][0]["chunk_id"], "c2");
}

#[test]
fn each_chunk_says_where_it_fell_out() {
    let me = app().tenant();
    let trace = rag(&me);
    for (chunk, outcome, setting, least) in [
        ("c9", "never_retrieved", json!("k"), json!(7)),
        ("c6", "cut_by_k", json!("k"), json!(6)),
        ("c4", "below_top_n", json!("top_n"), json!(4)),
        ("c3", "below_top_n", json!("top_n"), json!(3)),
        ("c2", "in_prompt_not_cited", json!("prompt"), Value::Null),
        ("c1", "cited", Value::Null, Value::Null),
    ] {
        let said = why(&me, &trace, chunk).json;
        assert_eq!(said["outcome"], outcome, "{chunk}");
        assert_eq!(said["change"]["setting"], setting, "{chunk}");
        assert_eq!(said["change"]["min"], least, "{chunk}");
    }
}

#[test]
fn a_threshold_and_a_filter_are_told_apart() {
    let me = app().tenant();
    let trace = new_trace();
    let found = flat("retrieval.documents", &CHUNKS[..4]);
    let kept = flat("retrieval.documents", &[CHUNKS[0], CHUNKS[2]]);
    let llm = json!({"openinference.span.kind": "LLM", "input.value": CHUNKS[0].1, "output.value": "Nine."});
    let spans = [
        timed(&trace, 1, None, (0, 90), json!({"input.value": QUESTION})),
        timed(
            &trace,
            2,
            Some(1),
            (1, 9),
            joined(&[&found], json!({"openinference.span.kind": "RETRIEVER"})),
        ),
        timed(
            &trace,
            3,
            Some(1),
            (10, 12),
            joined(
                &[&kept],
                json!({"nodeai.rag.stage": "filter", "nodeai.rag.threshold": "0.6"}),
            ),
        ),
        timed(&trace, 4, Some(1), (20, 80), llm),
    ];
    assert_status(&send(&me, &spans), 200);
    assert_eq!(why(&me, &trace, "c4").json["outcome"], "below_threshold");
    assert_eq!(why(&me, &trace, "c4").json["change"]["max"], 0.55);
    assert_eq!(why(&me, &trace, "c2").json["outcome"], "dropped_by_filter");
}

#[test]
fn the_list_has_traces_with_a_retrieval_alone() {
    let me = app().tenant();
    let trace = rag(&me);
    let other = new_trace();
    send(&me, &[span(&other, 1, None, super::otlp::chat())]);
    let ids = |path: &str| -> Vec<Value> {
        let reply = me.get(path);
        assert_status(&reply, 200);
        let data = reply.json["data"].as_array().unwrap();
        data.iter().map(|row| row["trace_id"].clone()).collect()
    };
    assert_eq!(ids("/api/v1/query-tracer"), [json!(trace)]);
    assert_eq!(ids("/api/v1/query-tracer?q=sandstone"), [json!(trace)]);
    assert!(ids("/api/v1/query-tracer?q=nowhere").is_empty());
    assert!(ids("/api/v1/query-tracer?to=2020-01-01T00:00:00Z").is_empty());
    let second = rag(&me);
    let page = me.get("/api/v1/query-tracer?limit=1").json;
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = ids(&format!("/api/v1/query-tracer?limit=1&cursor={cursor}"));
    let mut both = vec![page["data"][0]["trace_id"].clone(), rest[0].clone()];
    both.sort_by_key(Value::to_string);
    let mut want = vec![json!(trace), json!(second)];
    want.sort_by_key(Value::to_string);
    assert_eq!(both, want);
}

#[test]
fn what_is_no_query_is_said() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let trace = rag(&me);
    let path = format!("/api/v1/query-tracer/{trace}");
    assert_problem(&stranger.get(&path), 404, "not-found");
    let none = me.get(&format!("{path}?span_id=ffffffffffffffff"));
    assert_problem(&none, 404, "not-found");
    assert_status(&me.get(&format!("{path}?span_id=0000000000000003")), 200);
    let missing = me.get(&format!("{path}/why"));
    assert_problem(&missing, 400, "invalid-input");
    assert_eq!(missing.json["errors"][0]["parameter"], "chunk");
    let bad = me.get("/api/v1/query-tracer?workflow_id=x");
    assert_problem(&bad, 400, "invalid-input");
    let plain = new_trace();
    send(&me, &[span(&plain, 1, None, super::otlp::chat())]);
    let reply = me.get(&format!("/api/v1/query-tracer/{plain}"));
    assert_problem(&reply, 404, "not-found");
}
