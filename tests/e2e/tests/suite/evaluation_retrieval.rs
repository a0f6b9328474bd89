//! Evaluations of a search, without a workflow around it.

use super::evaluation_jobs::{dataset, ended_at};
use super::{app, knowledge};
use e2e::{assert_problem, assert_status};
use serde_json::json;

const PATH: &str = "/api/v1/rag-evaluation/evaluations";

#[test]
fn a_search_is_evaluated_by_what_it_finds() {
    let me = app().tenant();
    let base = knowledge::base(&me, knowledge::hashed());
    let ids = knowledge::add(&me, &base, knowledge::zoo());
    knowledge::ready(&me, &base, &ids);
    let (dataset, _) = dataset(
        &me,
        json!([
            {"question": "a red car", "relevant": [ids[1]]},
            {"question": "whales", "relevant": [ids[0], "somewhere-else"]},
        ]),
    );
    let id = base.rsplit('/').next().unwrap();
    let mut body = json!({"dataset_id": dataset, "metrics": ["mrr", "recall@3"],
        "target": {"retrieval": {"knowledge_base": id, "mode": "lexical", "k": 3}, "places": {"retrieved": "/documents"}}});
    let made = me.post(PATH, &body);
    assert_status(&made, 202);
    let ended = ended_at(&me, made.header("location"));
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let mean = |metric: &str| {
        let rows = ended["summary"].as_array().unwrap();
        let row = rows.iter().find(|row| row["metric"] == metric);
        row.unwrap()["mean"].as_f64().unwrap()
    };
    assert_eq!((mean("mrr"), mean("recall@3")), (1.0, 0.75), "{ended}");
    body["target"]["retrieval"]["query"] = json!("mine");
    let refused = me.post(PATH, &body);
    assert_problem(&refused, 400, "invalid-input");
    assert_eq!(
        refused.json["errors"][0]["pointer"],
        "/target/retrieval/query"
    );
}
