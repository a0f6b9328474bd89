//! Synthetic questions: made of documents by a model, kept when their chunk supports them, each once.

use super::app;
use super::evaluation_jobs::{dataset, drain};
use super::knowledge::{add, base, ready};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/rag-evaluation";

fn documents() -> Value {
    json!([
        {"title": "hours", "text": "The museum opens at nine every morning. It closes at six.", "metadata": {"lang": "en"}},
        {"title": "again", "text": "The museum opens at nine every morning. It is a rumour.", "metadata": {"lang": "en"}},
        {"title": "other", "text": "Das Museum ist am Montag den ganzen Tag geschlossen.", "metadata": {"lang": "de"}},
    ])
}

fn begin(me: &Tenant, body: &Value) -> Reply {
    let made = me.post(&format!("{PATH}/syntheses"), body);
    assert_status(&made, 202);
    made
}

fn ended(me: &Tenant, made: &Reply) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let now = me.get(made.header("location"));
        assert_status(&now, 200);
        if now.json["finished_at"].is_string() {
            return now.json;
        }
        assert!(Instant::now() < deadline, "{}", now.text);
        drain(me);
    }
}

fn body(base: &str, dataset: &str, more: Value) -> Value {
    let mut body = json!({"dataset_id": dataset, "knowledge_base_id": base.rsplit('/').next().unwrap(), "questions": 20,
        "per_chunk": 3, "filter": {"lang": "en"}, "judge": {"model": "judge", "base_url": app().llm.openai()}});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn documents_become_questions_that_they_answer_each_once() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let base = base(&me, json!({}));
    let ids = add(&me, &base, documents());
    ready(&me, &base, &ids);
    // One of the questions is there already, in other letters.
    let known = json!([{"question": "what about this -- It closes at six"}, {"question": "What about this: it closes at SIX!"}]);
    let (dataset, _) = dataset(&me, known);
    let made = begin(&me, &body(&base, &dataset, json!({})));
    assert_eq!(made.json["chunks"], 2, "{}", made.text);
    let end = ended(&me, &made);
    assert_eq!(end["status"], "succeeded", "{end}");
    let outcome = &end["outcome"];
    // Of four sentences one is quoted wrongly, one is in both documents, one is known.
    let counts =
        ["added", "duplicates", "unsupported", "failed"].map(|name| outcome[name].as_i64());
    assert_eq!(counts, [Some(1), Some(2), Some(1), Some(0)], "{end}");
    let items = me.get(&format!("{PATH}/datasets/{dataset}/items"));
    assert_status(&items, 200);
    let rows = items.json["data"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{}", items.text);
    let row = &rows[0];
    assert_eq!(
        row["question"],
        "What about this: The museum opens at nine every morning."
    );
    assert_eq!(row["expected"], "The museum opens at nine every morning.");
    let document = row["relevant"][0].as_str().unwrap();
    assert!(ids[..2].iter().any(|id| id == document), "{row}");
    assert_eq!(row["metadata"]["document_id"], document);
    assert_eq!(row["metadata"]["synthesis_id"], made.json["id"]);
    assert_eq!(row["dataset_version"], outcome["dataset_version"]);
    // The same once more adds nothing, and says so.
    let again = ended(
        &me,
        &begin(&me, &body(&base, &dataset, json!({"relevant": "chunk"}))),
    );
    assert_eq!(
        (&again["status"], &again["error"]["kind"]),
        (&json!("failed"), &json!("nothing_added")),
        "{again}"
    );
    let location = made.header("location");
    assert_problem(&stranger.get(location), 404, "not-found");
    let theirs = stranger.post(
        &format!("{PATH}/syntheses"),
        &body(&base, &dataset, json!({})),
    );
    assert_problem(&theirs, 404, "not-found");
}

#[test]
fn one_that_is_at_work_is_cancelled_and_adds_nothing() {
    let me = app().tenant();
    let base = base(&me, json!({}));
    let ids = add(&me, &base, documents());
    ready(&me, &base, &ids);
    let (dataset, _) = dataset(&me, json!([{"question": "q"}]));
    let slow = json!({"judge": {"model": "slow", "base_url": app().llm.openai()}, "filter": {}});
    let made = begin(&me, &body(&base, &dataset, slow));
    let cancelled = me.post(&format!("{}/cancel", made.header("location")), &json!({}));
    assert_status(&cancelled, 200);
    assert_eq!(cancelled.json["status"], "cancelled");
    assert!(cancelled.json["outcome"].is_null());
    let none = body(&base, &dataset, json!({"filter": {"lang": "fr"}}));
    let refused = me.post(&format!("{PATH}/syntheses"), &none);
    assert_problem(&refused, 409, "conflict");
    let wrong = body(
        &base,
        &dataset,
        json!({"per_chunk": 9, "judge": {"model": ""}}),
    );
    let refused = me.post(&format!("{PATH}/syntheses"), &wrong);
    assert_eq!(refused.status, 400, "{}", refused.text);
    for pointer in ["/per_chunk", "/judge/model"] {
        assert!(
            refused.text.contains(pointer),
            "{pointer}: {}",
            refused.text
        );
    }
}
