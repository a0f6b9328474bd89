//! Evaluations as jobs: what is asked, judged, stored once, and held against limits.

use super::{app, runs::graph};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/rag-evaluation";

/// A dataset of questions with answers; returns its id and the items by their questions.
pub fn dataset(me: &Tenant, items: Value) -> (String, Value) {
    let name = uuid::Uuid::now_v7().to_string();
    let made = me.post(&format!("{PATH}/datasets"), &json!({"name": name}));
    assert_status(&made, 201);
    let id = made.json["id"].as_str().unwrap().to_owned();
    let path = format!("{PATH}/datasets/{id}/items");
    assert_status(&me.post(&path, &json!({"items": items})), 201);
    let listed = me.get(&path).json;
    let rows = listed["data"].as_array().unwrap();
    let by = rows.iter().map(|row| {
        (
            row["question"].as_str().unwrap_or("").to_owned(),
            row["id"].clone(),
        )
    });
    (id, Value::Object(by.collect()))
}

pub fn questions() -> Value {
    json!([
        {"question": "When?", "expected": "It opens at nine.", "relevant": ["d1"]},
        {"question": "Where?", "expected": "It is in Rome.", "relevant": ["d2"]},
    ])
}

/// Answers every question with two statements, of which its contexts support the first.
fn answers() -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "out", "type": "output", "data": {"name": "answer", "value": "It opens at nine. It is blue."}},
        {"id": "found", "type": "output", "data": {"name": "found", "value": [
            {"id": "d1", "text": "It opens at nine."}, {"id": "d3", "text": "Nothing else."}]}},
    ]);
    graph(nodes, &[("in", None, "out"), ("in", None, "found")])
}

fn places() -> Value {
    json!({"answer": "/answer", "contexts": "/found"})
}

fn judge() -> Value {
    json!({"model": "judge", "base_url": app().llm.openai(), "embedding_model": "embed"})
}

fn begin(me: &Tenant, body: &Value) -> Reply {
    let made = me.post(&format!("{PATH}/evaluations"), body);
    assert_status(&made, 202);
    assert_eq!(made.json["status"], "queued", "{}", made.text);
    made
}

pub fn drain(me: &Tenant) {
    assert_status(&me.post(&format!("{PATH}/drain"), &json!({})), 200);
    let runs = me.post("/api/v1/workflows/execute/drain", &json!({}));
    assert_status(&runs, 200);
}

/// The evaluation once it has ended. On a host without a ticker somebody has to come.
fn ended(me: &Tenant, made: &Reply) -> Value {
    ended_at(me, made.header("location"))
}

/// The evaluation at `path` once it has ended.
pub fn ended_at(me: &Tenant, path: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let now = me.get(path);
        assert_status(&now, 200);
        if now.json["finished_at"].is_string() {
            return now.json;
        }
        assert!(Instant::now() < deadline, "{}", now.text);
        drain(me);
    }
}

fn results(me: &Tenant, made: &Reply, query: &str) -> Vec<Value> {
    let reply = me.get(&format!(
        "{}/results?limit=200{query}",
        made.header("location")
    ));
    assert_status(&reply, 200);
    reply.json["data"].as_array().unwrap().clone()
}

fn of<'a>(rows: &'a [Value], item: &Value, metric: &str) -> &'a Value {
    let found = rows
        .iter()
        .find(|row| row["item_id"] == *item && row["metric"] == metric);
    found.unwrap_or_else(|| panic!("{metric} of {item} in {rows:?}"))
}

#[test]
fn a_workflow_is_asked_and_its_answers_are_judged() {
    let me = app().tenant();
    let (id, items) = dataset(&me, questions());
    let workflow = me.workflow("answers", &answers());
    let body = json!({"dataset_id": id, "name": "first", "judge": judge(), "seed": 7,
        "target": {"workflow_id": workflow, "places": places()},
        "metrics": ["contains", "mrr", "latency_ms", "faithfulness", "answer_relevancy", "context_precision", "context_recall",
            "factual_correctness", "answer_correctness", "semantic_similarity", "noise_sensitivity",
            {"metric": "rubric", "name": "tone", "rubric": "Is it {{ polite }}?"}]});
    let made = begin(&me, &body);
    let end = ended(&me, &made);
    assert_eq!(end["status"], "succeeded", "{end}");
    assert_eq!(
        end["progress"],
        json!({"items": 2, "answered": 2, "results": 24, "of": 24})
    );
    let summary = end["summary"].as_array().unwrap();
    assert_eq!(summary.len(), 12);
    assert!(summary.iter().all(|one| one["failed"] == 0), "{end}");
    assert_eq!(summary[0]["metric"], "contains");
    assert_eq!(
        (&summary[0]["mean"], &summary[0]["n"]),
        (&json!(0.5), &json!(2))
    );
    assert_eq!(summary[0]["interval"].as_array().unwrap().len(), 2);
    let rows = results(&me, &made, "");
    let when = &items["When?"];
    // Both statements, one of them in the contexts.
    let faithful = of(&rows, when, "faithfulness");
    assert_eq!(faithful["score"], 0.5);
    let verdicts = &faithful["verdicts"]["support"]["verdicts"];
    assert_eq!(
        (&verdicts[0]["verdict"], &verdicts[1]["verdict"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(faithful["answer"], "It opens at nine. It is blue.");
    assert_eq!(
        faithful["contexts"],
        json!(["It opens at nine.", "Nothing else."])
    );
    assert_status(
        &me.get(&format!(
            "/api/v1/traces/{}",
            faithful["trace_id"].as_str().unwrap()
        )),
        200,
    );
    // The one of two claims that is expected, and all that is expected is there: 2 * 0.5 * 1 / 1.5.
    assert_eq!(of(&rows, when, "factual_correctness")["score"], 0.67);
    assert_eq!(of(&rows, when, "context_recall")["score"], 1.0);
    assert_eq!(of(&rows, &items["Where?"], "context_recall")["score"], 0.0);
    assert!(
        of(&rows, when, "context_precision")["score"]
            .as_f64()
            .unwrap()
            > 0.999
    );
    assert_eq!(of(&rows, when, "noise_sensitivity")["score"], 0.0);
    assert_eq!(of(&rows, when, "mrr")["score"], 1.0);
    assert_eq!(of(&rows, &items["Where?"], "mrr")["score"], 0.0);
    let tone = of(&rows, when, "tone");
    assert_eq!(
        (&tone["score"], &tone["reason"]),
        (&json!(2.0), &json!("curt"))
    );
    let near = of(&rows, when, "semantic_similarity");
    assert_eq!(near["verdicts"]["similarities"][0], near["score"]);
    // Pages have every result once.
    let first = me.get(&format!("{}/results?limit=20", made.header("location")));
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = me.get(&format!(
        "{}/results?limit=20&cursor={cursor}",
        made.header("location")
    ));
    assert_eq!(
        second.json["data"].as_array().unwrap().len(),
        4,
        "{}",
        second.text
    );
}

#[test]
fn what_fails_has_a_reason_and_is_not_in_the_mean() {
    let me = app().tenant();
    let (id, items) = dataset(
        &me,
        json!([{"question": "When?", "expected": "It opens at nine."}, {"question": "Why?"}]),
    );
    let mut garbage = judge();
    garbage["model"] = json!("judge-garbage");
    let body = json!({"dataset_id": id, "judge": garbage, "target": {"definition": answers(), "places": places()},
        "metrics": ["contains", "faithfulness", "context_recall"]});
    let made = begin(&me, &body);
    let end = ended(&me, &made);
    assert_eq!(end["status"], "succeeded", "{end}");
    let summary = &end["summary"];
    assert_eq!(
        (&summary[0]["mean"], &summary[0]["n"], &summary[0]["failed"]),
        (&json!(1.0), &json!(1), &json!(1))
    );
    assert_eq!(
        (&summary[1]["mean"], &summary[1]["n"], &summary[1]["failed"]),
        (&Value::Null, &json!(0), &json!(2))
    );
    let rows = results(&me, &made, "&failed=true");
    assert_eq!(rows.len(), 5);
    let judged = of(&rows, &items["When?"], "faithfulness");
    assert!(judged["score"].is_null());
    assert!(
        judged["reason"]
            .as_str()
            .unwrap()
            .starts_with("the judge failed"),
        "{judged}"
    );
    let missing = of(&rows, &items["Why?"], "context_recall");
    assert_eq!(missing["reason"], "the item has no expected answer");
    // A target that fails says so at each metric.
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "get", "type": "http", "data": {"url": "http://169.254.169.254/", "method": "GET"}},
        {"id": "out", "type": "output", "data": {"value": "{{ nodes.get.output.status }}"}},
    ]);
    let fails = graph(nodes, &[("in", None, "get"), ("get", None, "out")]);
    let body = json!({"dataset_id": id, "target": {"definition": fails}, "metrics": ["exact_match", "cost_usd"]});
    let made = begin(&me, &body);
    let end = ended(&me, &made);
    assert_eq!(
        (&end["status"], &end["error"]["kind"]),
        (&json!("failed"), &json!("nothing_scored"))
    );
    let rows = results(&me, &made, "&metric=cost_usd");
    assert_eq!(rows.len(), 2);
    assert!(
        rows[0]["reason"].as_str().unwrap().contains("at node get"),
        "{rows:?}"
    );
}

#[test]
fn two_that_drain_at_once_store_everything_once() {
    let me = app().tenant();
    let many =
        (0..12).map(|i| json!({"question": format!("q{i}"), "expected": "It opens at nine."}));
    let (id, _) = dataset(&me, many.collect());
    let body = json!({"dataset_id": id, "judge": judge(), "target": {"definition": answers(), "places": places()},
        "metrics": ["contains", "faithfulness"], "concurrency": 8});
    let made = begin(&me, &body);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ended(&me, &made));
        }
    });
    let end = me.get(made.header("location")).json;
    assert_eq!(end["status"], "succeeded", "{end}");
    assert_eq!(results(&me, &made, "").len(), 24);
    let runs = me.get("/api/v1/workflows/execute?limit=200").json;
    // One run of the target and one of the judge for each item.
    assert_eq!(runs["data"].as_array().unwrap().len(), 24);
}

#[test]
fn answers_that_are_there_need_no_run() {
    let me = app().tenant();
    let (id, items) = dataset(&me, questions());
    let answer = |text: &str| json!({"answer": text, "retrieved": ["d1"]});
    let (when, absent) = (
        items["When?"].as_str().unwrap(),
        items["Where?"].as_str().unwrap(),
    );
    let evaluate = |first: &str, second: &str| {
        let body = json!({"dataset_id": id, "target": {"answers": {when: answer(first), absent: answer(second)}},
            "metrics": ["exact_match", "mrr"]});
        let made = begin(&me, &body);
        let end = ended(&me, &made);
        assert_eq!(end["status"], "succeeded", "{end}");
        end
    };
    let good = evaluate("It opens at nine.", "It is in Rome.");
    let bad = evaluate("No.", "It is in Rome.");
    assert_eq!(good["summary"][0]["mean"], 1.0);
    let runs = me.get("/api/v1/workflows/execute").json;
    assert_eq!(runs["data"], json!([]));
    let compare = json!({"first": good["id"], "second": bad["id"]});
    let compared = me.post(&format!("{PATH}/evaluations/compare"), &compare);
    assert_status(&compared, 200);
    let row = &compared.json["data"][0];
    assert_eq!(
        (&row["metric"], &row["difference"], &row["n"]),
        (&json!("exact_match"), &json!(-0.5), &json!(2))
    );
    assert_eq!(
        row["verdict"], "no significant difference",
        "two items show nothing"
    );
    let gate = |limits: Value| {
        let path = format!("{PATH}/evaluations/{}/gate", bad["id"].as_str().unwrap());
        let reply = me.post(&path, &json!({"limits": limits, "baseline": good["id"]}));
        assert_status(&reply, 200);
        reply.json
    };
    assert_eq!(
        gate(json!([{"metric": "exact_match", "min": 0.5}]))["passed"],
        true
    );
    let broken =
        gate(json!([{"metric": "exact_match", "min": 0.6}, {"metric": "luck", "min": 0.0}]));
    assert_eq!(broken["passed"], false);
    assert_eq!(
        (&broken["limits"][0]["mean"], &broken["limits"][1]["passed"]),
        (&json!(0.5), &json!(false))
    );
    // What people say, and how far it agrees.
    let path = format!("{PATH}/evaluations/{}/labels", bad["id"].as_str().unwrap());
    let label =
        |item: &str, label: f64| json!({"item_id": item, "metric": "exact_match", "label": label});
    let labels = json!({"labels": [label(when, 1.0), label(absent, 1.0)]});
    let stored = me.put_with(&path, &[], &labels);
    assert_status(&stored, 200);
    let agreed = me.get(&path.replace("/labels", "/agreement"));
    assert_eq!(
        (
            &agreed.json["data"][0]["n"],
            &agreed.json["data"][0]["accuracy"]
        ),
        (&json!(2), &json!(0.5))
    );
    let nobody = json!({"labels": [{"item_id": when, "metric": "luck", "label": 1.0}]});
    assert_problem(&me.put_with(&path, &[], &nobody), 409, "conflict");
}

#[test]
fn a_cancelled_evaluation_asks_nothing_more() {
    let me = app().tenant();
    let (id, _) = dataset(&me, questions());
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "ask", "type": "wait", "data": {"approval": {"title": "Go?"}, "expires_ms": 600_000}},
        {"id": "yes", "type": "output", "data": {"value": "yes"}},
    ]);
    let waits = graph(
        nodes,
        &[("in", None, "ask"), ("ask", Some("approved"), "yes")],
    );
    let body = json!({"dataset_id": id, "target": {"definition": waits}, "metrics": ["exact_match"], "concurrency": 1});
    let made = begin(&me, &body);
    let path = made.header("location");
    drain(&me);
    let at_work = me.delete(path);
    assert_problem(&at_work, 409, "conflict");
    let gate = me.post(
        &format!("{path}/gate"),
        &json!({"limits": [{"metric": "exact_match", "min": 0}]}),
    );
    assert_problem(&gate, 409, "conflict");
    let cancelled = me.post(&format!("{path}/cancel"), &json!({}));
    assert_status(&cancelled, 200);
    assert_eq!(cancelled.json["status"], "cancelled");
    // One that was at work just then hears of it by its next sign of life.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        drain(&me);
        let runs = me.get("/api/v1/workflows/execute").json;
        let mut rows = runs["data"].as_array().unwrap().iter();
        if rows.all(|run| run["status"] == "cancelled") {
            break;
        }
        assert!(Instant::now() < deadline, "{runs}");
    }
    assert_problem(
        &me.post(&format!("{path}/cancel"), &json!({})),
        409,
        "conflict",
    );
    assert_status(&me.delete(path), 204);
    assert_problem(&me.get(path), 404, "not-found");
}

#[test]
fn traces_become_items_once() {
    let me = app().tenant();
    let workflow = me.workflow("answers", &answers());
    for question in ["When?", "Where?"] {
        let run = me.post(
            "/api/v1/workflows/execute",
            &json!({"workflow_id": workflow, "inputs": {"question": question}}),
        );
        assert_status(&run, 200);
    }
    let made = me.post(&format!("{PATH}/datasets"), &json!({"name": "traced"}));
    let path = format!("{}/from-traces", made.header("location"));
    let body = json!({"workflow_id": workflow, "question": "/question", "expected": "/answer"});
    let added = me.post(&path, &body);
    assert_status(&added, 201);
    assert_eq!(added.json, json!({"added": 2, "version": 2}));
    let items = me.get(&format!("{}/items", made.header("location"))).json;
    assert_eq!(
        items["data"][0]["expected"],
        "It opens at nine. It is blue."
    );
    assert!(items["data"][0]["source_trace_id"].is_string());
    assert_problem(&me.post(&path, &body), 409, "conflict");
    let wrong = me.post(&path, &json!({"question": "question", "trace_ids": ["x"]}));
    assert_problem(&wrong, 400, "invalid-input");
    assert_eq!(
        wrong.json["errors"].as_array().unwrap().len(),
        2,
        "{}",
        wrong.text
    );
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let (id, _) = dataset(&me, questions());
    let body =
        json!({"dataset_id": id, "target": {"definition": answers()}, "metrics": ["exact_match"]});
    assert_problem(
        &stranger.post(&format!("{PATH}/evaluations"), &body),
        404,
        "not-found",
    );
    let workflow = stranger.workflow("theirs", &answers());
    let theirs =
        json!({"dataset_id": id, "target": {"workflow_id": workflow}, "metrics": ["exact_match"]});
    assert_problem(
        &me.post(&format!("{PATH}/evaluations"), &theirs),
        409,
        "conflict",
    );
    let made = begin(&me, &body);
    for path in ["", "/results", "/agreement"] {
        let path = format!("{}{path}", made.header("location"));
        assert_problem(&stranger.get(&path), 404, "not-found");
    }
    let compare = json!({"first": made.json["id"], "second": made.json["id"]});
    let foreign = stranger.post(&format!("{PATH}/evaluations/compare"), &compare);
    assert_problem(&foreign, 404, "not-found");
    for (wrong, pointer) in [
        (json!({"metrics": ["faithfulness"]}), "/judge"),
        (json!({"metrics": ["luck"]}), "/metrics/0/metric"),
        (json!({"target": {}}), "/target"),
        (json!({"concurrency": 33}), "/concurrency"),
        (
            json!({"metrics": ["faithfulness"], "judge": {"model": "m", "api_key": "sk-plain"}}),
            "/judge/api_key",
        ),
    ] {
        let mut wrong_body = body.clone();
        let fields = wrong_body.as_object_mut().unwrap();
        fields.extend(wrong.as_object().unwrap().clone());
        let reply = me.post(&format!("{PATH}/evaluations"), &wrong_body);
        assert_problem(&reply, 400, "invalid-input");
        assert_eq!(
            reply.json["errors"][0]["pointer"], pointer,
            "{}",
            reply.text
        );
    }
    ended(&me, &made);
    let metrics = me.get(&format!("{PATH}/metrics"));
    assert_eq!(metrics.json["data"].as_array().unwrap().len(), 24);
}
