//! The conventions: the same query, whichever way it was written.

use super::{CHUNKS, context, ids, one, openinference, span, spans, with};
use crate::{How, Kind, PromptHow, assemble};
use serde_json::{Value, json};

#[test]
fn openinference_comes_out_whole() {
    let query = one(openinference("Every day at nine [2]."));
    assert_eq!(
        query.question.as_deref(),
        Some("When does the archive open?")
    );
    assert_eq!(query.rewrites.len(), 1);
    assert_eq!(query.rewrites[0].text, "opening hours archive");
    let kinds: Vec<Kind> = query.stages.iter().map(|stage| stage.kind).collect();
    assert_eq!(kinds, [Kind::Retrieval, Kind::Rerank, Kind::Select]);
    assert_eq!(ids(&query, 0), ["c1", "c2", "c3", "c4", "c5", "c6"]);
    assert_eq!(ids(&query, 1), ["c2", "c1", "c3"]);
    let rerank = &query.stages[1];
    assert_eq!((rerank.settings.top_n, rerank.took_ms), (Some(3), 14.0));
    assert_eq!(rerank.settings.model.as_deref(), Some("rerank-v3"));
    assert_eq!(rerank.received.as_ref().unwrap().len(), 4);
    let prompt = query.prompt.as_ref().unwrap();
    assert_eq!(prompt.messages.len(), 2);
    let in_prompt: Vec<&str> = prompt.chunks.iter().map(|c| c.chunk_id.as_str()).collect();
    assert_eq!(in_prompt, ["c2", "c1"]);
    assert!(prompt.chunks.iter().all(|c| c.how == PromptHow::Text));
    let answer = query.answer.as_ref().unwrap();
    assert_eq!(answer.cites.len(), 1);
    assert_eq!(
        (answer.cites[0].chunk_id.as_str(), answer.cites[0].how),
        ("c1", How::Marker)
    );
    assert_eq!((query.usage.calls, query.usage.tokens), (1, 120));
    assert_eq!(query.usage.cost_usd_micros, Some(27));
    assert_eq!(query.latency_ms, 100.0);
}

/// A run of ours: a search over HTTP, our reranker, our model; all spans are children of the run's.
fn own_run(cut_documents: bool) -> Vec<Value> {
    let found: Vec<Value> = CHUNKS
        .iter()
        .map(|(id, text, score)| json!({"id": id, "text": text, "score": score}))
        .collect();
    let texts: Vec<&str> = CHUNKS.iter().map(|chunk| chunk.1).collect();
    let rank = |at: usize, score: f64| json!({"index": at, "score": score, "document": found[at]});
    let mut output = json!({"results": [rank(1, 0.9), rank(0, 0.8)], "documents": [found[1], found[0]], "model": "m"});
    if cut_documents {
        let text = output.to_string();
        let end = text.find("\"documents\"").unwrap() + 20;
        output = Value::String(format!("{}… ({} bytes)", &text[..end], text.len()));
    }
    let work = json!({"operation": "rerank", "query": "When does it open?", "documents": texts, "top_n": 2});
    let messages = json!([{"role": "user", "content": context(&[2, 1])}]);
    let node = |kind: &str| json!({"node_type": kind, "node_id": kind});
    vec![
        with(
            span(
                1,
                0,
                "invoke_workflow ask",
                (0, 100),
                json!({"gen_ai.operation.name": "invoke_workflow",
            "nodeai.input": {"question": "When does it open?"}}),
            ),
            json!({"measure": "run"}),
        ),
        with(
            span(
                2,
                1,
                "embeddings m",
                (1, 4),
                json!({"gen_ai.operation.name": "embeddings",
            "nodeai.input": {"model": "m", "batches": [{"operation": "embed", "texts": ["opening hours"]}]}}),
            ),
            node("embed"),
        ),
        with(
            span(
                3,
                1,
                "POST",
                (5, 9),
                json!({"nodeai.input": {"method": "POST", "url": "https://kb.example/search"},
            "nodeai.output": {"status": 200, "body": {"hits": found}}}),
            ),
            node("http"),
        ),
        with(
            span(
                4,
                1,
                "GET",
                (5, 9),
                json!({"nodeai.output": {"status": 200, "body": {"items": [{"id": 1, "name": "x"}]}}}),
            ),
            node("http"),
        ),
        with(
            span(
                5,
                1,
                "rerank m",
                (10, 20),
                json!({"gen_ai.operation.name": "rerank",
            "nodeai.input": {"model": "m", "batches": [work]}, "nodeai.output": output}),
            ),
            node("rerank"),
        ),
        with(
            span(
                6,
                1,
                "chat m",
                (21, 90),
                json!({"gen_ai.operation.name": "chat",
            "nodeai.input": {"model": "m", "messages": messages}, "nodeai.output": {"text": "At nine [2]."}}),
            ),
            node("llm"),
        ),
    ]
}

#[test]
fn a_run_of_ours_comes_out_whole() {
    for cut in [false, true] {
        let query = one(own_run(cut));
        assert_eq!(query.question.as_deref(), Some("When does it open?"));
        assert_eq!(query.rewrites[0].text, "opening hours");
        let kinds: Vec<Kind> = query.stages.iter().map(|stage| stage.kind).collect();
        // What has no scores is no retrieval.
        assert_eq!(kinds, [Kind::Retrieval, Kind::Rerank]);
        assert_eq!(ids(&query, 1), ["c2", "c1"]);
        assert_eq!(query.stages[1].settings.top_n, Some(2));
        assert_eq!(query.stages[1].received.as_ref().unwrap()[5], "c6");
        assert_eq!(query.stages[1].incomplete, cut);
        assert_eq!(query.answer.unwrap().cites[0].chunk_id, "c1");
        assert_eq!(query.usage.unpriced_calls, 2);
    }
}

fn turn(first: u64, parent: u64, from: i64) -> Vec<Value> {
    let documents = json!([{"id": format!("d{first}"), "content": "x", "score": 1}]).to_string();
    vec![
        span(
            first,
            parent,
            "turn",
            (from, from + 9),
            json!({"openinference.span.kind": "CHAIN", "input.value": "q"}),
        ),
        span(
            first + 1,
            first,
            "retrieve",
            (from + 1, from + 2),
            json!({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.documents": documents}),
        ),
        span(
            first + 2,
            first,
            "chat",
            (from + 3, from + 8),
            json!({"gen_ai.operation.name": "chat"}),
        ),
    ]
}

#[test]
fn each_turn_of_a_session_is_a_query() {
    let mut list = vec![span(1, 0, "session", (0, 100), json!({}))];
    list.extend(turn(20, 1, 50));
    list.extend(turn(10, 1, 10));
    let queries = assemble(&spans(list));
    let roots: Vec<&str> = queries.iter().map(|query| query.span_id.as_str()).collect();
    assert_eq!(roots, ["000000000000000a", "0000000000000014"]);
}

#[test]
fn a_rewrite_within_a_retriever_is_no_answer() {
    let answered = |text: &str| json!({"openinference.span.kind": "LLM", "output.value": text});
    let retrieve = |query: &str| {
        json!({"openinference.span.kind": "RETRIEVER", "input.value": query,
        "retrieval.documents.0.document.id": "a1"})
    };
    let query = one(vec![
        span(
            1,
            0,
            "ask",
            (0, 90),
            json!({"openinference.span.kind": "CHAIN", "input.value": "q"}),
        ),
        span(
            2,
            1,
            "multi query",
            (1, 30),
            json!({"openinference.span.kind": "RETRIEVER", "input.value": "q",
            "retrieval.documents.0.document.id": "a1", "retrieval.documents.1.document.id": "a2"}),
        ),
        span(3, 2, "llm", (2, 9), answered("hours of the archive")),
        span(4, 2, "dense", (10, 15), retrieve("hours of the archive")),
        span(5, 2, "dense", (16, 20), retrieve("q")),
        span(6, 1, "llm", (31, 80), answered("Nine.")),
    ]);
    assert_eq!(query.span_id, "0000000000000001");
    assert_eq!(query.answer.as_ref().unwrap().text, "Nine.");
    assert_eq!(
        query.rewrites[0].made_by.as_deref(),
        Some("0000000000000003")
    );
    assert_eq!(query.stages.last().unwrap().kind, Kind::Fusion);
    assert_eq!(query.usage.calls, 2);
}
