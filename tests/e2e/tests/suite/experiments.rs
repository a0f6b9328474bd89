//! Experiments as jobs: a planted setting is found, applied and taken back; bad inputs, cancellation and strangers.

use super::app;
use super::evaluation_jobs::dataset;
use super::knowledge::{add, base, hashed, ready, search};
use e2e::{Reply, Tenant, assert_problem, assert_status};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PATH: &str = "/api/v1/rag-optimization";
/// Words of all documents; each is in two documents.
const WORDS: usize = 20;

fn word(i: usize) -> String {
    format!("k{i:02}q")
}

fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// A base of pairs of documents with the same words, and a dataset that asks for each word: one result finds a half of what is relevant.
fn pairs(me: &Tenant, settings: Value) -> (String, String) {
    let base = base(me, settings);
    let texts: Vec<String> = (0..WORDS)
        .collect::<Vec<_>>()
        .chunks(5)
        .map(|some| some.iter().copied().map(word).collect::<Vec<_>>().join(" "))
        .collect();
    let documents = texts.iter().enumerate().flat_map(|(i, text)| {
        ["one", "other"]
            .map(|name| json!({"title": format!("{name} {i}"), "text": format!("{text} {name}")}))
    });
    let ids = add(me, &base, documents.collect());
    ready(me, &base, &ids);
    let items = (0..WORDS).map(|i| {
        let first = i / 5 * 2;
        json!({"question": word(i), "relevant": [ids[first], ids[first + 1]]})
    });
    let (dataset, _) = dataset(me, items.collect());
    (base, dataset)
}

fn body(base: &str, dataset: &str, more: Value) -> Value {
    let mut body = json!({"name": "e", "knowledge_base_id": id_of(base), "dataset_id": dataset, "metric": "recall@5",
        "seed": 3, "space": {"mode": ["lexical", "hybrid"], "fusion": ["rrf"], "k": [1, 5]},
        "baseline": {"mode": "lexical", "k": 1}});
    let map = body.as_object_mut().unwrap();
    map.extend(more.as_object().unwrap().clone());
    body
}

fn begin(me: &Tenant, body: &Value) -> Reply {
    let made = me.post(&format!("{PATH}/experiments"), body);
    assert_status(&made, 202);
    assert_eq!(made.json["status"], "queued", "{}", made.text);
    made
}

/// The experiment once it has ended. On a host without a ticker somebody has to come.
fn ended(me: &Tenant, made: &Reply) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let now = me.get(made.header("location"));
        assert_status(&now, 200);
        if now.json["finished_at"].is_string() {
            return now.json;
        }
        assert!(Instant::now() < deadline, "{}", now.text);
        for path in [
            format!("{PATH}/drain"),
            "/api/v1/workflows/execute/drain".to_owned(),
        ] {
            assert_status(&me.post(&path, &json!({})), 200);
        }
    }
}

fn trials(me: &Tenant, made: &Reply, query: &str) -> Value {
    let reply = me.get(&format!("{}/trials{query}", made.header("location")));
    assert_status(&reply, 200);
    reply.json
}

#[test]
fn the_planted_setting_wins_is_applied_and_taken_back() {
    let me = app().tenant();
    let (base, dataset) = pairs(&me, hashed());
    let made = begin(&me, &body(&base, &dataset, json!({})));
    let location = made.header("location");
    let end = ended(&me, &made);
    assert_eq!(end["status"], "succeeded", "{end}");
    assert_eq!(
        end["progress"],
        json!({"questions": WORDS, "retrieved": WORDS, "failed": 0})
    );
    let outcome = &end["outcome"];
    assert_eq!(outcome["verdict"], "gain", "{end}");
    assert_eq!(outcome["settings"], json!({"mode": "lexical", "k": 5}));
    assert_eq!(
        outcome["questions"],
        json!({"search": 12, "verdict": 8, "left_out": 0})
    );
    let finalist = &outcome["finalists"][0];
    assert_eq!(
        (&finalist["difference"], &finalist["trial"]),
        (&json!(0.5), &outcome["winner"])
    );
    assert!(finalist["p_holm"].as_f64().unwrap() < 0.05, "{finalist}");
    // All settings, the best first, in pages.
    let first = trials(&me, &made, "?limit=3");
    let best = &first["data"][0];
    assert_eq!(best["scores"], json!({"mean": 1.0, "questions": 12}));
    assert!(best["latency_us"].as_i64().unwrap() > 0, "{best}");
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = trials(&me, &made, &format!("?cursor={cursor}"));
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
    let last = &second["data"][0];
    assert_eq!(last["scores"]["mean"], 0.5, "{last}");
    // The same lists and the same seed say the same.
    let again = ended(&me, &begin(&me, &body(&base, &dataset, json!({}))));
    for part in ["winner", "finalists", "rounds"] {
        assert_eq!(again["outcome"][part], outcome[part]);
    }
    apply_and_take_back(&me, &base, location);
}

/// What has won is what a search does that says nothing, until it is taken back.
fn apply_and_take_back(me: &Tenant, base: &str, location: &str) {
    let settings = || me.get(base).json["settings"]["search"].clone();
    let before = settings();
    let apply = format!("{location}/apply");
    let applied = me.post(&apply, &json!({}));
    assert_status(&applied, 200);
    assert!(applied.json["applied_at"].is_string(), "{}", applied.text);
    assert_eq!(
        settings(),
        json!({"k1": 1.2, "b": 0.75, "mode": "lexical", "k": 5})
    );
    let found = search(me, base, json!({"query": word(0)}));
    assert_eq!(
        (&found["mode"], &found["candidates"]["vector"]),
        (&json!("lexical"), &json!(0))
    );
    assert_problem(&me.post(&apply, &json!({})), 409, "conflict");
    let rollback = format!("{location}/rollback");
    let back = me.post(&rollback, &json!({}));
    assert_status(&back, 200);
    assert!(back.json["rolled_back_at"].is_string(), "{}", back.text);
    assert_eq!(settings(), before);
    assert_problem(&me.post(&rollback, &json!({})), 409, "conflict");
    // Somebody else has changed the base: neither way is open.
    assert_status(&me.post(&apply, &json!({})), 200);
    let changed = json!({"search": {"k1": 2.0, "b": 0.5}});
    assert_status(&me.patch(base, &changed), 200);
    assert_problem(&me.post(&rollback, &json!({})), 409, "conflict");
    assert_eq!(settings(), json!({"k1": 2.0, "b": 0.5}));
    let actions = me.get("/api/v1/audit-logs?limit=200").text;
    for action in ["experiment.applied", "experiment.rolled_back"] {
        assert!(actions.contains(action), "{action} in {actions}");
    }
    assert_status(&me.delete(location), 204);
    assert_problem(&me.get(location), 404, "not-found");
}

#[test]
fn without_a_significant_gain_there_is_nothing_to_apply() {
    let me = app().tenant();
    let (base, dataset) = pairs(&me, json!({}));
    let space = json!({"space": {"k": [5, 20]}, "baseline": {"k": 10}});
    let made = begin(&me, &body(&base, &dataset, space));
    let end = ended(&me, &made);
    assert_eq!(end["status"], "succeeded", "{end}");
    assert_eq!(end["outcome"]["verdict"], "no significant gain", "{end}");
    assert_eq!(end["outcome"]["settings"], Value::Null);
    // A base without vectors is searched by words alone.
    let all = trials(&me, &made, "");
    let rows = all["data"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["settings"]["mode"] == "lexical"));
    let apply = me.post(&format!("{}/apply", made.header("location")), &json!({}));
    assert_problem(&apply, 409, "conflict");
    let vectors = body(&base, &dataset, json!({"space": {"mode": ["vector"]}}));
    let refused = me.post(&format!("{PATH}/experiments"), &vectors);
    assert_problem(&refused, 409, "conflict");
}

#[test]
fn one_that_is_at_work_is_cancelled_and_strangers_see_nothing() {
    let (me, stranger) = (app().tenant(), app().tenant());
    let base = base(&me, json!({}));
    let items = json!([{"question": "a", "relevant": ["d"]}, {"question": "b"}]);
    let (dataset, _) = dataset(&me, items);
    let space = json!({"space": {}, "baseline": null, "budget": {"usd": 1, "minutes": 5}});
    let made = begin(&me, &body(&base, &dataset, space));
    assert_eq!(made.json["questions"], 1, "{}", made.text);
    let location = made.header("location").to_owned();
    assert_problem(&stranger.get(&location), 404, "not-found");
    let cancel = format!("{location}/cancel");
    assert_problem(&stranger.post(&cancel, &json!({})), 404, "not-found");
    let theirs = stranger.post(
        &format!("{PATH}/experiments"),
        &body(&base, &dataset, json!({})),
    );
    assert_problem(&theirs, 404, "not-found");
    let cancelled = me.post(&cancel, &json!({}));
    assert_status(&cancelled, 200);
    assert_eq!(cancelled.json["status"], "cancelled");
    assert_problem(&me.post(&cancel, &json!({})), 409, "conflict");
    let listed = me.get(&format!("{PATH}/experiments?status=cancelled"));
    assert_eq!(listed.json["data"][0]["id"], made.json["id"]);
    assert_status(&me.delete(&location), 204);
}

#[test]
fn bad_input_has_pointers() {
    let me = app().tenant();
    let nobody = uuid::Uuid::now_v7().to_string();
    let cases = [
        (json!({"name": ""}), "/name"),
        (json!({"knowledge_base_id": "x"}), "/knowledge_base_id"),
        (json!({"metric": "wonder"}), "/metric"),
        (json!({"space": {"k": [5, 0]}}), "/space/k/1"),
        (
            json!({"space": {"weights": [{"lexical": 0, "vector": 0}]}}),
            "/space/weights/0",
        ),
        (json!({"space": {"rrf_k": [0]}}), "/space/rrf_k/0"),
        (
            json!({"space": {"k": (1..=40).collect::<Vec<_>>(), "rrf_k": (1..=40).collect::<Vec<_>>()}}),
            "/space",
        ),
        (json!({"baseline": {"k": 1_000}}), "/baseline/k"),
        (json!({"max_items": 0}), "/max_items"),
        (json!({"budget": {"minutes": 0}}), "/budget/minutes"),
    ];
    for (more, pointer) in cases {
        let reply = me.post(
            &format!("{PATH}/experiments"),
            &body(&nobody, &nobody, more),
        );
        assert_problem(&reply, 400, "invalid-input");
        let found = &reply.json["errors"][0]["pointer"];
        assert_eq!(*found, pointer, "{}", reply.text);
    }
    let base = base(&me, json!({}));
    let (dataset, _) = dataset(&me, json!([{"question": "a"}]));
    let space = json!({"space": {}, "baseline": null});
    let reply = me.post(
        &format!("{PATH}/experiments"),
        &body(&base, &dataset, space),
    );
    assert_problem(&reply, 409, "conflict");
}
