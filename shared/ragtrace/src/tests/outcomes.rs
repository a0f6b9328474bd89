//! Each outcome of `why`, in each convention that can have it.

use super::{CHUNKS, all, context, flat, map, one, openinference, span, with};
use crate::{Kind, Outcome, Query, Setting, Why, why};
use serde_json::{Value, json};

fn change(why: &Why) -> (Setting, Option<Value>, Option<Value>) {
    let change = why.change.as_ref().unwrap();
    (change.setting, change.from.clone(), change.min.clone())
}

fn openinference_query() -> Query {
    one(openinference("Every day at nine [2]."))
}

/// A retrieval in GenAI's form, with more attributes.
fn genai_retrieval(documents: &[(&str, &str, f64)], more: Value) -> Value {
    let documents: Vec<Value> = documents
        .iter()
        .map(|(id, content, score)| json!({"id": id, "content": content, "score": score}))
        .collect();
    all(vec![
        map(
            json!({"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "archive",
            "gen_ai.retrieval.documents": Value::from(documents).to_string()}),
        ),
        map(more),
    ])
}

fn genai_chat(prompt: &str, answer: &str) -> Value {
    let input =
        json!([{"role": "user", "parts": [{"type": "text", "content": prompt}]}]).to_string();
    let output =
        json!([{"role": "assistant", "parts": [{"type": "text", "content": answer}]}]).to_string();
    json!({"gen_ai.operation.name": "chat", "gen_ai.input.messages": input, "gen_ai.output.messages": output})
}

fn genai(retrieval: Value, chunks: &[usize], answer: &str) -> Query {
    one(vec![
        span(
            1,
            0,
            "invoke_agent",
            (0, 90),
            json!({"gen_ai.operation.name": "invoke_agent"}),
        ),
        span(2, 1, "retrieval kb", (1, 10), retrieval),
        span(
            3,
            1,
            "chat gpt",
            (11, 80),
            genai_chat(&context(chunks), answer),
        ),
    ])
}

#[test]
fn never_retrieved_says_beyond_which_k() {
    let verdict = why(&openinference_query(), "c99");
    assert_eq!(verdict.outcome, Outcome::NeverRetrieved);
    assert_eq!(change(&verdict), (Setting::K, None, Some(json!(7))));
    let advice = &verdict.change.unwrap().advice;
    assert!(advice.contains("raise k of retrieve beyond 6"), "{advice}");
    let query = genai(
        genai_retrieval(&CHUNKS[..3], json!({"gen_ai.request.top_k": 10})),
        &[1],
        "At nine.",
    );
    let verdict = why(&query, "c4");
    assert_eq!(
        change(&verdict),
        (Setting::K, Some(json!(10)), Some(json!(11)))
    );
    assert!(verdict.path.is_empty());
}

#[test]
fn cut_before_the_reranker_says_its_rank() {
    let verdict = why(&openinference_query(), "c6");
    assert_eq!(verdict.outcome, Outcome::CutByK);
    assert_eq!((verdict.rank, verdict.score), (Some(6), Some(0.32)));
    assert_eq!(
        change(&verdict),
        (Setting::K, Some(json!(4)), Some(json!(6)))
    );
    assert_eq!(verdict.stage.unwrap().name, "retrieve");
}

#[test]
fn cut_before_the_prompt_is_seen_in_the_prompt() {
    let query = genai(genai_retrieval(&CHUNKS, json!({})), &[1, 2], "At nine.");
    let selection = query.stages.last().unwrap();
    assert!(selection.inferred && selection.kind == Kind::Select);
    let verdict = why(&query, "c5");
    assert_eq!(verdict.outcome, Outcome::CutByK);
    assert_eq!(
        change(&verdict),
        (Setting::K, Some(json!(2)), Some(json!(5)))
    );
}

#[test]
fn below_the_top_n_of_a_reranker_whose_order_is_not_known() {
    let verdict = why(&openinference_query(), "c4");
    assert_eq!(verdict.outcome, Outcome::BelowTopN);
    let change = verdict.change.unwrap();
    assert_eq!(
        (change.setting, change.from),
        (Setting::TopN, Some(json!(3)))
    );
    assert_eq!(
        (change.min, change.enough),
        (Some(json!(4)), Some(json!(4)))
    );
}

#[test]
fn below_what_was_taken_of_a_whole_order() {
    let verdict = why(&openinference_query(), "c3");
    assert_eq!(verdict.outcome, Outcome::BelowTopN);
    assert_eq!(verdict.rank, Some(3));
    assert_eq!(
        change(&verdict),
        (Setting::TopN, Some(json!(2)), Some(json!(3)))
    );
    assert_eq!(verdict.path.len(), 2);
}

#[test]
fn below_the_threshold_says_the_score() {
    let retrieval = genai_retrieval(&CHUNKS, json!({"nodeai.rag.threshold": 0.6}));
    let query = genai(retrieval, &[1, 2, 3], "At nine.");
    let verdict = why(&query, "c4");
    assert_eq!(verdict.outcome, Outcome::BelowThreshold);
    let change = verdict.change.unwrap();
    assert_eq!(
        (change.setting, change.max),
        (Setting::Threshold, Some(json!(0.55)))
    );
    assert_eq!(verdict.rank, Some(4));
}

fn filtered(settings: Value, kept: &[(&str, &str, f64)]) -> Query {
    let filter = all(vec![
        flat("retrieval.documents", kept),
        map(json!({"nodeai.rag.stage": "filter"})),
        map(settings),
    ]);
    one(vec![
        span(
            1,
            0,
            "ask",
            (0, 90),
            json!({"openinference.span.kind": "CHAIN", "input.value": "archive"}),
        ),
        span(2, 1, "search", (1, 10), genai_retrieval(&CHUNKS, json!({}))),
        span(3, 1, "acl", (11, 12), filter),
        span(
            4,
            1,
            "chat",
            (13, 80),
            genai_chat(&context(&[1, 3]), "Nine."),
        ),
    ])
}

#[test]
fn dropped_by_a_filter_is_neither_place_nor_score() {
    let query = filtered(
        json!({"nodeai.rag.filter": "tenant = 1"}),
        &[CHUNKS[0], CHUNKS[2]],
    );
    let verdict = why(&query, "c2");
    assert_eq!(verdict.outcome, Outcome::DroppedByFilter);
    assert_eq!(verdict.stage.as_ref().unwrap().name, "acl");
    assert_eq!(
        change(&verdict),
        (Setting::Filter, Some(json!("tenant = 1")), None)
    );
    let query = filtered(
        json!({"nodeai.rag.threshold": 0.9}),
        &[CHUNKS[0], CHUNKS[2]],
    );
    assert_eq!(why(&query, "c2").outcome, Outcome::BelowThreshold);
}

#[test]
fn in_the_prompt_and_cited_or_not() {
    let query = openinference_query();
    let cited = why(&query, "c1");
    assert_eq!((cited.outcome, &cited.change), (Outcome::Cited, &None));
    assert!(cited.detail.contains("[2]"), "{}", cited.detail);
    let not = why(&query, "c2");
    assert_eq!(not.outcome, Outcome::InPromptNotCited);
    assert_eq!(change(&not).0, Setting::Prompt);
    let quoted = "The archive opens at nine in the morning on every day, they say.";
    let verdict = why(
        &genai(genai_retrieval(&CHUNKS, json!({})), &[1, 2], quoted),
        "c1",
    );
    assert_eq!(verdict.outcome, Outcome::Cited);
    assert!(
        verdict.detail.contains("11 of its words"),
        "{}",
        verdict.detail
    );
}

#[test]
fn without_a_prompt_it_came_through() {
    let query = one(vec![span(
        1,
        0,
        "retrieval kb",
        (0, 5),
        genai_retrieval(&CHUNKS, json!({})),
    )]);
    assert_eq!(why(&query, "c6").outcome, Outcome::NoPrompt);
    assert!(query.prompt.is_none() && query.answer.is_none());
}

#[test]
fn a_chunk_that_a_fusion_left_out_is_cut_by_its_k() {
    let fused = all(vec![
        flat("retrieval.documents", &CHUNKS[..2]),
        map(json!({"openinference.span.kind": "RETRIEVER", "metadata": "{\"k\": 2}"})),
    ]);
    let query = one(vec![
        span(1, 0, "ask", (0, 90), json!({})),
        span(2, 1, "ensemble", (1, 20), fused),
        span(
            3,
            2,
            "bm25",
            (2, 9),
            genai_retrieval(&CHUNKS[..3], json!({})),
        ),
        span(
            4,
            2,
            "dense",
            (2, 10),
            genai_retrieval(&CHUNKS[2..], json!({})),
        ),
        with(
            span(
                5,
                1,
                "chat",
                (21, 80),
                genai_chat(&context(&[1, 2]), "Nine."),
            ),
            json!({"measure": "model"}),
        ),
    ]);
    let kinds: Vec<Kind> = query.stages.iter().map(|stage| stage.kind).collect();
    assert_eq!(kinds, [Kind::Retrieval, Kind::Retrieval, Kind::Fusion]);
    let verdict = why(&query, "c5");
    assert_eq!(verdict.outcome, Outcome::CutByK);
    assert_eq!(
        change(&verdict),
        (Setting::K, Some(json!(2)), Some(json!(3)))
    );
    assert_eq!(verdict.stage.unwrap().kind, Kind::Fusion);
}
