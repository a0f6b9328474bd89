//! Traces that are not as one would wish.

use super::{CHUNKS, all, context, flat, ids, map, one, span, spans, with};
use crate::cite::{Citable, cites};
use crate::{Kind, Outcome, PromptHow, assemble, why};
use serde_json::{Value, json};

fn retriever(documents: &[(&str, &str, f64)]) -> Value {
    let kind = map(json!({"openinference.span.kind": "RETRIEVER"}));
    all(vec![flat("retrieval.documents", documents), kind])
}

fn llm(prompt: &str, answer: &str) -> Value {
    json!({"openinference.span.kind": "LLM", "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": prompt, "output.value": answer})
}

#[test]
fn nothing_that_was_looked_for_is_no_query() {
    assert!(assemble(&[]).is_empty());
    let chat = span(1, 0, "chat", (0, 5), llm("hi", "hello"));
    let embed = span(
        2,
        1,
        "embeddings",
        (1, 2),
        json!({"gen_ai.operation.name": "embeddings"}),
    );
    assert!(assemble(&spans(vec![chat, embed])).is_empty());
}

#[test]
fn an_empty_stage_is_one() {
    let query = one(vec![
        span(1, 0, "ask", (0, 9), json!({"input.value": "q"})),
        span(2, 1, "retrieve", (1, 2), retriever(&[])),
        span(3, 1, "llm", (3, 8), llm("q", "I do not know.")),
    ]);
    assert!(query.stages[0].candidates.is_empty());
    assert!(query.prompt.as_ref().unwrap().chunks.is_empty());
    let verdict = why(&query, "c1");
    assert_eq!(verdict.outcome, Outcome::NeverRetrieved);
    assert_eq!(verdict.change.unwrap().min, Some(json!(1)));
}

#[test]
fn without_ids_the_text_is_the_chunk_across_stages() {
    let bare: Vec<(&str, &str, f64)> = CHUNKS.iter().map(|c| ("", c.1, f64::NAN)).collect();
    let ranked = all(vec![
        flat(
            "reranker.output_documents",
            &[(
                "",
                "  The archive opens at nine in the\nmorning on every day of the week.",
                0.9,
            )],
        ),
        map(json!({"openinference.span.kind": "RERANKER"})),
    ]);
    let query = one(vec![
        span(1, 0, "ask", (0, 90), json!({})),
        span(2, 1, "retrieve", (1, 10), retriever(&bare)),
        span(3, 1, "rerank", (11, 20), ranked.clone()),
        span(4, 1, "llm", (21, 80), llm(&context(&[1]), "Nine [1].")),
    ]);
    let first = &query.stages[0].candidates[0].chunk_id;
    assert!(first.starts_with("sha256:"), "{first}");
    assert_eq!(first, &query.stages[1].candidates[0].chunk_id);
    assert_eq!(why(&query, first).outcome, Outcome::Cited);
    // A text that has an id in one list has it in the other.
    let query = one(vec![
        span(1, 0, "ask", (0, 90), json!({})),
        span(2, 1, "retrieve", (1, 10), retriever(&CHUNKS)),
        span(3, 1, "rerank", (11, 20), ranked),
    ]);
    assert_eq!(ids(&query, 1), ["c1"]);
}

#[test]
fn ties_and_doubles_have_their_best_place() {
    let doubled = [
        CHUNKS[0],
        CHUNKS[1],
        CHUNKS[1],
        ("c3", CHUNKS[2].1, 0.85),
        CHUNKS[3],
    ];
    let query = one(vec![
        span(1, 0, "ask", (0, 90), json!({})),
        span(2, 1, "retrieve", (1, 10), retriever(&doubled)),
        span(3, 1, "llm", (11, 80), llm(&context(&[1]), "Nine.")),
    ]);
    assert_eq!(ids(&query, 0), ["c1", "c2", "c2", "c3", "c4"]);
    let verdict = why(&query, "c2");
    assert_eq!((verdict.outcome, verdict.rank), (Outcome::CutByK, Some(2)));
    let tied = why(&query, "c3");
    assert_eq!(
        (tied.outcome, tied.rank, tied.score),
        (Outcome::CutByK, Some(4), Some(0.85))
    );
}

#[test]
fn an_id_of_a_whole_document_is_told_apart_by_the_text() {
    let same = [("book", CHUNKS[0].1, 0.9), ("book", CHUNKS[1].1, 0.8)];
    let query = one(vec![span(1, 0, "retrieve", (0, 9), retriever(&same))]);
    let found = ids(&query, 0);
    assert!(
        found[0].starts_with("book#") && found[0] != found[1],
        "{found:?}"
    );
}

#[test]
fn a_prompt_that_cannot_be_asked_has_what_the_last_stage_gave() {
    let query = one(vec![
        span(1, 0, "ask", (0, 90), json!({})),
        span(2, 1, "retrieve", (1, 10), retriever(&CHUNKS[..2])),
        span(
            3,
            1,
            "llm",
            (11, 80),
            json!({"openinference.span.kind": "LLM"}),
        ),
    ]);
    let prompt = query.prompt.as_ref().unwrap();
    assert!(prompt.chunks.iter().all(|c| c.how == PromptHow::Assumed));
    assert_eq!(prompt.chunks.len(), 2);
    assert_eq!(query.stages.len(), 1);
    assert_eq!(why(&query, "c2").outcome, Outcome::InPromptNotCited);
}

#[test]
fn ids_in_a_prompt_count_as_whole_words() {
    let bare = [("doc-1", "", 0.9), ("doc-12", "", 0.8), ("d", "", 0.7)];
    let query = one(vec![
        span(1, 0, "ask", (0, 90), json!({})),
        span(2, 1, "retrieve", (1, 10), retriever(&bare)),
        span(
            3,
            1,
            "llm",
            (11, 80),
            llm("Use doc-12 as d.", "See [doc-12]."),
        ),
    ]);
    let prompt = query.prompt.as_ref().unwrap();
    assert_eq!(prompt.chunks.len(), 1);
    assert_eq!(
        (prompt.chunks[0].chunk_id.as_str(), prompt.chunks[0].how),
        ("doc-12", PromptHow::Id)
    );
    assert_eq!(why(&query, "doc-12").outcome, Outcome::Cited);
    // Above what went on, but not with it: no k is why.
    assert_eq!(why(&query, "doc-1").outcome, Outcome::DroppedByFilter);
}

#[test]
fn several_roots_and_cycles_do_not_lose_the_query() {
    let query = one(vec![
        span(2, 99, "retrieve", (1, 10), retriever(&CHUNKS)),
        span(3, 98, "llm", (11, 80), llm(&context(&[1, 2]), "Nine.")),
    ]);
    assert_eq!(query.latency_ms, 79.0);
    assert!(query.prompt.is_some());
    let cycle = spans(vec![
        span(1, 2, "a", (0, 9), json!({})),
        span(2, 1, "retrieve", (1, 2), retriever(&CHUNKS)),
    ]);
    assert_eq!(assemble(&cycle).len(), 1);
}

#[test]
fn a_wrapper_around_one_retriever_is_a_selection_or_nothing() {
    let wrapped = |outer: &[(&str, &str, f64)]| {
        one(vec![
            span(1, 0, "compression", (0, 20), retriever(outer)),
            span(2, 1, "dense", (1, 10), retriever(&CHUNKS)),
        ])
    };
    assert_eq!(wrapped(&CHUNKS).stages.len(), 1);
    let kept = wrapped(&CHUNKS[..2]);
    assert_eq!(kept.stages[1].kind, Kind::Select);
    let verdict = why(&kept, "c4");
    assert_eq!(
        (verdict.outcome, verdict.change.unwrap().enough),
        (Outcome::CutByK, Some(json!(4)))
    );
}

#[test]
fn a_call_around_another_is_counted_once() {
    let tokens = json!({"prompt_tokens": 10, "completion_tokens": 1});
    let query = one(vec![
        span(1, 0, "ask", (0, 90), json!({})),
        span(2, 1, "retrieve", (1, 10), retriever(&CHUNKS)),
        with(
            span(3, 1, "llm outer", (11, 80), llm("p", "a")),
            tokens.clone(),
        ),
        with(span(4, 3, "llm inner", (12, 79), llm("p", "a")), tokens),
    ]);
    assert_eq!((query.usage.calls, query.usage.tokens), (1, 11));
    assert_eq!(query.answer.unwrap().span_id, "0000000000000004");
}

fn cited(answer: &str, prompt: &str) -> Vec<String> {
    let chunk = |chunk_id, in_prompt| Citable {
        chunk_id,
        content: None,
        in_prompt,
    };
    let chunks = [
        chunk("doc-a", true),
        chunk("doc-b", true),
        chunk("doc-c", false),
    ];
    let found = cites(answer, prompt, &chunks).into_iter();
    found
        .map(|cite| format!("{}={}", cite.chunk_id, cite.marker.unwrap_or_default()))
        .collect()
}

#[test]
fn markers_of_all_kinds_are_read() {
    assert_eq!(cited("x [1], y [2].", ""), ["doc-a=[1]", "doc-b=[2]"]);
    assert_eq!(cited("x [1, 2]", ""), ["doc-a=[1]", "doc-b=[2]"]);
    assert_eq!(cited("x 【2†source】", ""), ["doc-b=[2]"]);
    assert_eq!(
        cited("x [^1] [source 2]", ""),
        ["doc-a=[1]", "doc-b=[source 2]"]
    );
    assert_eq!(
        cited("x [doc-b; doc-c]", ""),
        ["doc-b=[doc-b]", "doc-c=[doc-c]"]
    );
    assert_eq!(cited("x [1]", "[0] a [1] b"), ["doc-b=[1]"]);
    for none in [
        "x [3] [7] [note]",
        "[",
        "x ] [",
        "[]",
        "1, 2",
        "[99999999999999999999]",
    ] {
        assert_eq!(cited(none, ""), Vec::<String>::new(), "{none}");
    }
}
