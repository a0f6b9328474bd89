//! Queries from traces that were made by hand.

mod forms;
mod odd;
mod outcomes;

use crate::{Query, Span, assemble};
use serde_json::{Map, Value, json};

/// A span of a trace: number, parent (0: none), name, start and end in ms, attributes.
pub fn span(number: u64, parent: u64, name: &str, ms: (i64, i64), attributes: Value) -> Value {
    json!({"span_id": format!("{number:016x}"), "parent_span_id": (parent > 0).then(|| format!("{parent:016x}")),
        "name": name, "status": "ok", "start_us": ms.0 * 1_000, "end_us": ms.1 * 1_000, "attributes": attributes})
}

/// With more members, such as `node_type`.
pub fn with(mut span: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        span[name] = value.clone();
    }
    span
}

pub fn spans(list: Vec<Value>) -> Vec<Span> {
    list.into_iter()
        .map(|span| serde_json::from_value(span).unwrap())
        .collect()
}

/// The one query of a trace.
pub fn one(list: Vec<Value>) -> Query {
    let mut queries = assemble(&spans(list));
    assert_eq!(queries.len(), 1, "{queries:#?}");
    queries.remove(0)
}

/// A list of documents as OpenInference flattens it: id, text, score.
pub fn flat(prefix: &str, documents: &[(&str, &str, f64)]) -> Map<String, Value> {
    let mut a = Map::new();
    for (at, (id, text, score)) in documents.iter().enumerate() {
        let mut put = |name: &str, value: Value| {
            a.insert(format!("{prefix}.{at}.document.{name}"), value);
        };
        if !id.is_empty() {
            put("id", json!(id));
        }
        if !text.is_empty() {
            put("content", json!(text));
        }
        if !score.is_nan() {
            put("score", json!(score));
        }
    }
    a
}

/// Attributes together.
pub fn all(parts: Vec<Map<String, Value>>) -> Value {
    Value::Object(parts.into_iter().flatten().collect())
}

/// An object's members.
pub fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

pub fn ids(query: &Query, stage: usize) -> Vec<&str> {
    let candidates = query.stages[stage].candidates.iter();
    candidates.map(|c| c.chunk_id.as_str()).collect()
}

/// Six chunks with texts of their own.
pub const CHUNKS: [(&str, &str, f64); 6] = [
    (
        "c1",
        "The archive opens at nine in the morning on every day of the week.",
        0.91,
    ),
    (
        "c2",
        "Readers need a card, which the desk gives for one euro.",
        0.85,
    ),
    (
        "c3",
        "Photographs are allowed without flash in all rooms but one.",
        0.74,
    ),
    (
        "c4",
        "The old town hall was built of sandstone in 1511.",
        0.55,
    ),
    ("c5", "Bicycles are parked behind the house.", 0.41),
    ("c6", "The library of the chapter is closed.", 0.32),
];

/// A prompt with the texts of these chunks (from 1), numbered.
pub fn context(numbers: &[usize]) -> String {
    let lines = numbers.iter().enumerate();
    let lines = lines.map(|(at, n)| format!("[{}] {}", at + 1, CHUNKS[n - 1].1));
    format!("Answer from:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// A trace in OpenInference: chain, retriever (all six), reranker (of the first four, top 3), LLM with the first two.
pub fn openinference(answer: &str) -> Vec<Value> {
    let retrieved = all(vec![
        flat("retrieval.documents", &CHUNKS),
        map(
            json!({"openinference.span.kind": "RETRIEVER", "input.value": "opening hours archive"}),
        ),
    ]);
    let reranked = [CHUNKS[1], CHUNKS[0], CHUNKS[2]];
    let ranked = all(vec![
        flat("reranker.input_documents", &CHUNKS[..4]),
        flat("reranker.output_documents", &reranked),
        map(
            json!({"openinference.span.kind": "RERANKER", "reranker.query": "When does the archive open?",
            "reranker.top_k": 3, "reranker.model_name": "rerank-v3"}),
        ),
    ]);
    let llm = json!({"openinference.span.kind": "LLM",
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": context(&[2, 1]),
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "When does the archive open?",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": answer});
    vec![
        span(
            1,
            0,
            "ask",
            (0, 100),
            json!({"openinference.span.kind": "CHAIN",
            "input.value": "{\"question\": \"When does the archive open?\"}"}),
        ),
        span(2, 1, "retrieve", (5, 25), retrieved),
        span(3, 1, "rerank", (26, 40), ranked),
        with(
            span(4, 1, "llm", (41, 99), llm),
            json!({"model": "gpt-4o-mini", "measure": "model", "prompt_tokens": 100,
            "completion_tokens": 20, "cost_pusd": 27_000_000}),
        ),
    ]
}
