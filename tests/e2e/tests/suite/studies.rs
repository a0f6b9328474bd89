//! Studies: parameters of a workflow are tried, finalists judged, what has won is applied and taken back; bad inputs and strangers.

use super::app;
use super::evaluation_jobs::{self, dataset};
use super::runs::graph;
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/rag-optimization";
/// Three fifths of them are searched on.
const QUESTIONS: usize = 30;

/// Says what `vars.answer` says, resting on one sentence.
fn says(answer: &str) -> Value {
    let nodes = json!([
        {"id": "in", "type": "input", "data": {}},
        {"id": "say", "type": "template", "data": {"template": "{{ vars.answer }}"}},
        {"id": "out", "type": "output", "data": {"name": "answer", "value": "{{ nodes.say.output.text }}"}},
        {"id": "found", "type": "output", "data": {"name": "found", "value": [{"id": "d1", "text": "It opens at nine."}]}},
    ]);
    let mut workflow = graph(
        nodes,
        &[
            ("in", None, "say"),
            ("say", None, "out"),
            ("in", None, "found"),
        ],
    );
    workflow["vars"] = json!({"answer": answer});
    workflow
}

fn asked(me: &Tenant) -> String {
    let items =
        (0..QUESTIONS).map(|i| json!({"question": format!("When, {i}?"), "expected": "nine"}));
    dataset(me, items.collect()).0
}

fn body(workflow: &str, dataset: &str, more: Value) -> Value {
    let mut body = json!({"name": "answers", "workflow_id": workflow, "dataset_id": dataset, "seed": 5,
        "parameters": [{"name": "answer", "path": "/answer", "values": ["It is blue.", "It opens at nine.", "Nine of them are blue."]}],
        "places": {"answer": "/answer", "contexts": "/found"},
        "screen": {"metric": "contains", "ignore_case": true}, "metric": "faithfulness",
        "judge": {"model": "judge", "base_url": app().llm.openai()}});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    body
}

fn begin(me: &Tenant, body: &Value) -> Reply {
    let made = me.post(&format!("{PATH}/studies"), body);
    assert_status(&made, 202);
    assert_eq!(made.json["status"], "queued", "{}", made.text);
    made
}

/// The id of a study that was made just now.
pub fn begun(me: &Tenant) -> Value {
    let workflow = me.workflow("studied", &says("a"));
    let (dataset, _) = dataset(me, json!([{"question": "q", "expected": "a"}]));
    begin(me, &body(&workflow, &dataset, json!({}))).json["id"].clone()
}

/// The study once it has ended. On a host without a ticker somebody has to come.
fn ended(me: &Tenant, made: &Reply) -> Value {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        let now = me.get(made.header("location"));
        assert_status(&now, 200);
        if now.json["finished_at"].is_string() {
            return now.json;
        }
        assert!(Instant::now() < deadline, "{}", now.text);
        assert_status(&me.post(&format!("{PATH}/drain"), &json!({})), 200);
        evaluation_jobs::drain(me);
    }
}

#[test]
fn finalists_are_judged_and_the_better_one_is_applied_and_taken_back() {
    let me = app().tenant();
    let workflow = me.workflow("says", &says("It is blue."));
    let dataset = asked(&me);
    let made = begin(&me, &body(&workflow, &dataset, json!({})));
    assert_eq!(made.json["trials"], 3, "{}", made.text);
    let end = ended(&me, &made);
    assert_eq!(end["status"], "succeeded", "{end}");
    let outcome = &end["outcome"];
    // Both others say nine; only one says what the document says.
    assert_eq!(outcome["verdict"], "gain", "{}", judged(&me, &end));
    assert_eq!(outcome["settings"], json!({"answer": "It opens at nine."}));
    assert_eq!(
        outcome["questions"],
        json!({"search": 18, "verdict": 12, "left_out": 0})
    );
    let finalists = outcome["finalists"].as_array().unwrap();
    assert_eq!(
        (finalists.len(), &finalists[0]["difference"]),
        (2, &json!(1.0)),
        "{end}"
    );
    assert!(finalists[0]["p_holm"].as_f64().unwrap() < 0.05, "{end}");
    let trials = me.get(&format!("{}/trials", made.header("location"))).json;
    let rows = trials["data"].as_array().unwrap();
    assert_eq!(
        rows.iter()
            .map(|row| row["rank"].as_i64().unwrap())
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        rows[0]["scores"],
        json!({"mean": 1.0, "questions": 18}),
        "{trials}"
    );
    assert_eq!(
        (&rows[2]["number"], &rows[2]["scores"]["mean"]),
        (&json!(1), &json!(0.0))
    );
    assert!(rows[0]["latency_us"].as_i64().unwrap() > 0, "{trials}");
    judged_are_finalists_alone(&me, &end);
    apply_and_take_back(&me, &workflow, made.header("location"));
}

/// What judges said about the finalists.
fn judged(me: &Tenant, study: &Value) -> String {
    let path = "/api/v1/rag-evaluation/evaluations";
    let children = me
        .get(&format!(
            "{path}?study_id={}",
            study["id"].as_str().unwrap()
        ))
        .json;
    let rows = children["data"].as_array().unwrap().iter();
    let of = rows.filter(|row| row["metrics"][0] == "faithfulness");
    let said = of.map(|row| {
        me.get(&format!(
            "{path}/{}/results?limit=3",
            row["id"].as_str().unwrap()
        ))
        .text
    });
    said.collect::<Vec<_>>().join("\n")
}

/// The search asked for every question of its part, the judge for those of the verdict.
fn judged_are_finalists_alone(me: &Tenant, study: &Value) {
    let path = format!(
        "/api/v1/rag-evaluation/evaluations?study_id={}",
        study["id"].as_str().unwrap()
    );
    let children = me.get(&path).json;
    let rows = children["data"].as_array().unwrap();
    let of = |metric: &str| -> i64 {
        let own = rows.iter().filter(|row| row["metrics"][0] == metric);
        own.map(|row| row["items"].as_i64().unwrap()).sum()
    };
    assert_eq!(
        (of("contains"), of("faithfulness")),
        (3 * 18, 3 * 12),
        "{children}"
    );
    assert_eq!(study["outcome"]["evaluations"], 3 * 18 + 3 * 12);
}

fn apply_and_take_back(me: &Tenant, workflow: &str, location: &str) {
    let path = format!("/api/v1/workflows/{workflow}");
    let now = || {
        let found = me.get(&path).json;
        (
            found["version"].clone(),
            found["definition"]["vars"]["answer"].clone(),
        )
    };
    let (apply, rollback) = (format!("{location}/apply"), format!("{location}/rollback"));
    assert_problem(&me.post(&rollback, &json!({})), 409, "conflict");
    let applied = me.post(&apply, &json!({}));
    assert_status(&applied, 200);
    assert_eq!(applied.json["applied_version"], 2, "{}", applied.text);
    assert_eq!(now(), (json!(2), json!("It opens at nine.")));
    assert_problem(&me.post(&apply, &json!({})), 409, "conflict");
    assert_status(&me.post(&rollback, &json!({})), 200);
    assert_eq!(now(), (json!(3), json!("It is blue.")));
    assert_status(&me.post(&apply, &json!({})), 200);
    // Somebody else has changed it: neither way is open.
    let named = me.patch(&path, &json!({"name": "other"}));
    assert_status(&named, 200);
    assert_problem(&me.post(&rollback, &json!({})), 409, "conflict");
    let actions = me.get("/api/v1/audit-logs?limit=200").text;
    for action in ["study.created", "study.applied", "study.rolled_back"] {
        assert!(actions.contains(action), "{action} in {actions}");
    }
    assert_status(&me.delete(location), 204);
    assert_problem(&me.get(location), 404, "not-found");
}

#[test]
fn one_without_a_difference_has_nothing_to_apply() {
    let me = app().tenant();
    let workflow = me.workflow("says", &says("It opens at nine."));
    let dataset = asked(&me);
    let same = json!({"parameters": [{"node": "say", "path": "/template",
        "values": ["{{ vars.answer }} ", "{{ vars['answer'] }}"]}], "metric": "contains", "screen": null, "judge": null, "max_items": 10});
    let end = ended(&me, &begin(&me, &body(&workflow, &dataset, same)));
    assert_eq!(end["status"], "succeeded", "{end}");
    assert_eq!(end["outcome"]["verdict"], "no significant gain", "{end}");
    let apply = format!("{PATH}/studies/{}/apply", end["id"].as_str().unwrap());
    assert_problem(&me.post(&apply, &json!({})), 409, "conflict");
}

#[test]
fn one_that_is_at_work_is_cancelled_and_strangers_see_nothing() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let workflow = me.workflow("says", &says("a"));
    let dataset = asked(&me);
    let made = begin(&me, &body(&workflow, &dataset, json!({})));
    let location = made.header("location").to_owned();
    assert_problem(&stranger.get(&location), 404, "not-found");
    for what in ["cancel", "apply", "rollback"] {
        let reply = stranger.post(&format!("{location}/{what}"), &json!({}));
        assert_problem(&reply, 404, "not-found");
    }
    let theirs = stranger.post(
        &format!("{PATH}/studies"),
        &body(&workflow, &dataset, json!({})),
    );
    assert_problem(&theirs, 404, "not-found");
    assert_problem(&me.delete(&location), 409, "conflict");
    let cancelled = me.post(&format!("{location}/cancel"), &json!({}));
    assert_status(&cancelled, 200);
    assert_eq!(cancelled.json["status"], "cancelled");
    assert_problem(
        &me.post(&format!("{location}/cancel"), &json!({})),
        409,
        "conflict",
    );
    let path = format!(
        "/api/v1/rag-evaluation/evaluations?study_id={}",
        made.json["id"].as_str().unwrap()
    );
    let children = me.get(&path).json;
    let mut rows = children["data"].as_array().unwrap().iter();
    assert!(
        rows.all(|row| row["status"] == "cancelled" || row["status"] == "succeeded"),
        "{children}"
    );
    let listed = me.get(&format!(
        "{PATH}/studies?status=cancelled&workflow_id={workflow}"
    ));
    assert_eq!(listed.json["data"][0]["id"], made.json["id"]);
    assert_status(&me.delete(&location), 204);
}

#[test]
fn bad_input_has_pointers() {
    let me = app().tenant();
    let workflow = me.workflow("says", &says("a"));
    let dataset = asked(&me);
    let one = |node: Value, path: &str, values: Value| json!([{"node": node, "path": path, "values": values}]);
    let cases = [
        (json!({"name": ""}), "/name"),
        (json!({"workflow_id": "x"}), "/workflow_id"),
        (json!({"parameters": []}), "/parameters"),
        (
            json!({"parameters": one(json!("say"), "template", json!([1]))}),
            "/parameters/0/path",
        ),
        (
            json!({"parameters": one(json!("say"), "/template", json!([]))}),
            "/parameters/0/values",
        ),
        (
            json!({"parameters": one(json!("gone"), "/a", json!([1]))}),
            "/parameters/0/node",
        ),
        (
            json!({"parameters": one(json!("say"), "/template/b", json!([1]))}),
            "/parameters/0/path",
        ),
        (
            json!({"parameters": one(json!("say"), "/template", json!(["fine", "{{ broken"]))}),
            "/parameters/0/values/1",
        ),
        (json!({"metric": "wonder"}), "/metric/metric"),
        (json!({"metric": "latency_ms"}), "/metric"),
        (json!({"screen": null}), "/screen"),
        (json!({"judge": null}), "/judge"),
        (json!({"max_items": 1_001}), "/max_items"),
        (json!({"budget": {"usd": 0}}), "/budget/usd"),
        (json!({"retune": {"days": 0}}), "/retune/days"),
        (
            json!({"retune": {"days": 1, "question": "question"}}),
            "/retune/question",
        ),
    ];
    for (more, pointer) in cases {
        let reply = me.post(&format!("{PATH}/studies"), &body(&workflow, &dataset, more));
        assert_problem(&reply, 400, "invalid-input");
        let found = &reply.json["errors"][0]["pointer"];
        assert_eq!(*found, pointer, "{}", reply.text);
    }
    let missing = json!({"workflow_version": 7});
    let reply = me.post(
        &format!("{PATH}/studies"),
        &body(&workflow, &dataset, missing),
    );
    assert_problem(&reply, 404, "not-found");
    assert_eq!(me.get(&format!("{PATH}/studies")).json["data"], json!([]));
}
