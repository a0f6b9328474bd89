//! Evaluation: datasets that grow by imports, retrieval scored and compared.

use super::app;
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/rag-evaluation";

#[test]
fn a_dataset_grows_by_imports_that_are_whole_or_nothing() {
    let me = app().tenant();
    let made = me.post(&format!("{PATH}/datasets"), &json!({"name": "faq"}));
    assert_status(&made, 201);
    let path = made.header("location").to_owned();
    let items = format!("{path}/items");
    let first = me.post(
        &items,
        &json!({"items": [{"question": "Who?", "relevant": ["d1"]}]}),
    );
    assert_status(&first, 201);
    assert_eq!(first.json, json!({"added": 1, "version": 2}));
    let csv = "question,expected,relevant,topic\nWhat?,That,d1;d2=3,things\nWhere?,,,places\n";
    assert_eq!(me.post(&items, &json!({"csv": csv})).json["version"], 3);
    let bad = me.post(
        &items,
        &json!({"jsonl": "{\"question\": \"fine\"}\n{\"question\": 3}"}),
    );
    assert_problem(&bad, 400, "invalid-input");
    assert!(bad.text.contains("line 2"), "{}", bad.text);
    let all = me.get(&items).json;
    assert_eq!(all["data"].as_array().unwrap().len(), 3);
    let what = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["question"] == "What?")
        .unwrap();
    assert_eq!(what["relevant"], json!({"d1": 1, "d2": 3}));
    assert_eq!(what["metadata"], json!({"topic": "things"}));
    let before = me.get(&format!("{items}?version=2")).json;
    assert_eq!(
        before["data"].as_array().unwrap().len(),
        1,
        "as it was at version 2"
    );
    let twice = me.post(&format!("{PATH}/datasets"), &json!({"name": "faq"}));
    assert_problem(&twice, 409, "conflict");
    assert_status(
        &me.patch(&path, &json!({"description": "Frequent ones"})),
        200,
    );
    let stranger = app().tenant();
    assert_problem(&stranger.get(&items), 404, "not-found");
    assert_problem(
        &stranger.post(&items, &json!({"items": [{"question": "x"}]})),
        404,
        "not-found",
    );
    assert_status(&me.delete(&path), 204);
    assert_problem(&me.get(&items), 404, "not-found");
}

fn ranked(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({"id": id})).collect()
}

#[test]
fn scores_come_with_n_interval_and_each_query() {
    let me = app().tenant();
    let body = json!({
        "judgements": {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}, "q3": {"d": 1}},
        "results": {"q1": ranked(&["x", "b", "a"]), "q2": ranked(&["c"])},
        "metrics": ["mrr", "precision@2", "ndcg@10"],
    });
    let reply = me.post(&format!("{PATH}/score"), &body);
    assert_status(&reply, 200);
    let rows = reply.json["data"].as_array().unwrap();
    assert_eq!(rows[0]["metric"], "mrr");
    assert_eq!((&rows[0]["mean"], &rows[0]["n"]), (&json!(0.5), &json!(3)));
    assert_eq!(rows[0]["queries"], json!({"q1": 0.5, "q2": 1.0, "q3": 0.0}));
    assert_eq!(rows[0]["interval"].as_array().unwrap().len(), 2);
    assert_eq!(rows[1]["queries"], json!({"q1": 0.5, "q2": 0.5, "q3": 0.0}));
    assert_eq!(
        me.post(&format!("{PATH}/score"), &body).text,
        reply.text,
        "the same seed, the same interval"
    );
    for (wrong, pointer) in [
        (json!({"judgements": {}, "results": {}}), "/judgements"),
        (
            json!({"judgements": {"q": {"a": 1}}, "results": {}, "metrics": ["f1"]}),
            "/metrics/0",
        ),
        (
            json!({"judgements": {"q": {"a": 1}}, "results": {"q": [{"id": "a", "score": 1}, {"id": "b"}]}}),
            "/results/q",
        ),
    ] {
        let reply = me.post(&format!("{PATH}/score"), &wrong);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
}

#[test]
fn a_better_retriever_is_told_from_an_equal_one() {
    let me = app().tenant();
    let queries = 0..30;
    let judged: Value = queries
        .clone()
        .map(|i| (format!("q{i}"), json!({"a": 1})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let found = |ids: &[&str]| -> Value {
        queries
            .clone()
            .map(|i| (format!("q{i}"), ranked(ids)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let ask = |second: Value| {
        let body = json!({"judgements": judged, "first": found(&["x", "a"]), "second": second, "metrics": ["mrr", "hit_rate@5"]});
        let reply = me.post(&format!("{PATH}/compare"), &body);
        assert_status(&reply, 200);
        reply.json["data"].clone()
    };
    let better = ask(found(&["a", "x"]));
    assert_eq!(better[0]["difference"], 0.5);
    assert!(better[0]["p_holm"].as_f64().unwrap() < 0.01, "{better}");
    assert_eq!(better[1]["p_holm"], 1.0, "both hit");
    let same = ask(found(&["x", "a"]));
    assert_eq!(
        (&same[0]["difference"], &same[0]["p"]),
        (&json!(0.0), &json!(1.0))
    );
}

#[test]
fn a_sweep_finds_the_better_fusion_and_claims_nothing_without_one() {
    let me = app().tenant();
    let queries = 0..60;
    let judged: Value = queries
        .clone()
        .map(|i| (format!("q{i}"), json!({"a": 1})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let found = |ids: &[&str]| -> Value {
        queries
            .clone()
            .map(|i| (format!("q{i}"), ranked(ids)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let ask = |vector: Value| {
        let body = json!({"judgements": judged, "candidates": {"lexical": found(&["x", "y", "a"]), "vector": vector},
            "baseline": {"weights": {"lexical": 1.0}, "fusion": "rrf", "limit": 10},
            "space": {"weights": {"lexical": [0.0, 1.0], "vector": [0.0, 1.0, 3.0]}, "fusion": ["rrf", "weighted"], "limit": [10]}});
        let reply = me.post("/api/v1/rag-optimization/sweep", &body);
        assert_status(&reply, 200);
        reply.json
    };
    let better = ask(found(&["a", "x"]));
    assert_eq!(better["verdict"], "gain", "{better}");
    assert!(better["winner"]["weights"]["vector"].as_f64().unwrap() > 0.0);
    let same = ask(found(&["x", "y", "a"]));
    assert_eq!(
        (&same["verdict"], &same["winner"]),
        (&json!("no significant gain"), &Value::Null)
    );
    let body = json!({"judgements": judged, "candidates": {}, "metric": "luck",
        "baseline": {"weights": {}, "fusion": "rrf", "limit": 0}, "space": {"weights": {}, "fusion": [], "limit": []}});
    let reply = me.post("/api/v1/rag-optimization/sweep", &body);
    assert_problem(&reply, 400, "invalid-input");
    assert!(
        reply.json["errors"].as_array().unwrap().len() >= 4,
        "{}",
        reply.text
    );
}
