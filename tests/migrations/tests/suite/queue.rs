//! The queue: who gets a run, with whose rights, and who may still write.

use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};
use uuid::Uuid;

/// Leaves a run to the queue.
async fn enqueue(session: &Session, options: Value) -> String {
    let (run, trace) = (id(), Uuid::new_v4().simple().to_string());
    let mut execution = json!({"id": run, "trace_id": trace, "mode": "queued", "inputs": {},
        "definition": {"nodes": []}});
    execution
        .as_object_mut()
        .unwrap()
        .extend(options.as_object().unwrap().clone());
    let started = session
        .call("run_start", json!({"execution": execution}))
        .await;
    assert_eq!(started["outcome"], "started", "{started}");
    run
}

/// What a worker gets: answer, claims, role.
async fn claim(worker: &Session, ask: Value) -> (Value, Value, String) {
    let sql =
        "SELECT c.answer::text, c.claims, c.role FROM nodeai.queue_claim(($1::text)::jsonb) c";
    let row = worker
        .client()
        .query_one(sql, &[&ask.to_string()])
        .await
        .unwrap();
    let json = |at: usize| serde_json::from_str(row.get::<_, &str>(at)).unwrap();
    (json(0), json(1), row.get(2))
}

fn run_of(answer: &Value) -> &str {
    answer["execution"]["id"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn higher_priorities_come_first_and_delayed_ones_not_yet() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let worker = db.session().await;
    let low = enqueue(&a, json!({"priority": -5})).await;
    let high = enqueue(&a, json!({"priority": 7})).await;
    enqueue(
        &a,
        json!({"run_after_us": 4_000_000_000_000_000_i64, "priority": 100}),
    )
    .await;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(run_of(&claim(&worker, json!({})).await.0).to_owned());
    }
    assert_eq!(got, [high, low, String::new()]);
    let (empty, claims, role) = claim(&worker, json!({})).await;
    assert_eq!(
        (empty["outcome"].clone(), role.as_str()),
        (json!("empty"), "anon")
    );
    assert_eq!(claims, json!({"role": "anon"}));
    assert_eq!(empty["due_us"], json!(4_000_000_000_000_000_i64));
}

#[tokio::test]
async fn one_organisations_flood_does_not_keep_others_waiting() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let b = db.tenant("b").await.session(&db).await;
    let c = db.tenant("c").await.session(&db).await;
    for _ in 0..20 {
        enqueue(&a, json!({"priority": 100})).await;
    }
    let (low, other) = (
        enqueue(&b, json!({"priority": -100})).await,
        enqueue(&c, json!({})).await,
    );
    enqueue(
        &c,
        json!({"priority": 100, "run_after_us": 4_000_000_000_000_000_i64}),
    )
    .await;
    let worker = db.session().await;
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(run_of(&claim(&worker, json!({})).await.0).to_owned());
    }
    // The flood came first, and then everybody has a turn before it has another.
    assert_eq!(got[1..3], [low, other]);
    assert!(!got[0].is_empty() && !got[3].is_empty(), "{got:?}");
    assert!(run_of(&claim(&worker, json!({})).await.0) != "");
}

#[tokio::test]
async fn a_run_is_taken_up_with_its_owners_claims() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    enqueue(&a.session(&db).await, json!({})).await;
    let run = enqueue(&b.session(&db).await, json!({})).await;
    let worker = db.session().await;
    let org = serde_json::from_str::<Value>(&b.claims()).unwrap()["org_id"].clone();
    let (answer, claims, role) = claim(&worker, json!({"org_id": org})).await;
    assert_eq!(run_of(&answer), run);
    assert_eq!(
        (claims["org_id"].clone(), role.as_str()),
        (org.clone(), "authenticated")
    );
    assert_eq!(answer["principal"]["org_id"], org);
    let (nothing, ..) = claim(&worker, json!({"org_id": org})).await;
    assert_eq!(nothing["outcome"], "empty");
}

#[tokio::test]
async fn only_the_last_lease_may_write() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let worker = db.session().await;
    let run = enqueue(&a, json!({})).await;
    let (first, ..) = claim(&worker, json!({"lease_us": 0})).await;
    let (second, ..) = claim(&worker, json!({"lease_us": 60_000_000})).await;
    assert_eq!(
        (run_of(&first), run_of(&second)),
        (run.as_str(), run.as_str())
    );
    let append = |lease: &Value, seq: u64| {
        json!({"id": run, "lease_token": lease["execution"]["lease_token"],
        "first_seq": seq, "last_seq": seq, "events": [{"seq": seq}]})
    };
    assert_eq!(
        a.call("run_append", append(&first, 0)).await["outcome"],
        "lost"
    );
    assert_eq!(
        a.call("run_append", append(&second, 0)).await["outcome"],
        "ok"
    );
    let loaded = json!({"id": run, "lease_token": first["execution"]["lease_token"]});
    assert_eq!(a.call("run_load", loaded).await, Value::Null);
    let end = |lease: &Value| {
        json!({"execution": {"id": run, "status": "succeeded",
        "lease_token": lease["execution"]["lease_token"]}, "events": []})
    };
    assert_eq!(a.call("run_commit", end(&first)).await["outcome"], "fenced");
    assert_eq!(
        a.call("run_commit", end(&second)).await["outcome"],
        "committed"
    );
    let events = a.call("run_events", json!({"id": run})).await;
    assert_eq!(events["pieces"], json!([{"seq": 0}]), "{events}");
}

#[tokio::test]
async fn a_key_has_as_many_places_as_its_limit() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let b = db.tenant("b").await.session(&db).await;
    let shared = json!({"concurrency_key": "k", "concurrency_limit": 2});
    for _ in 0..4 {
        enqueue(&a, shared.clone()).await;
    }
    let other = enqueue(&b, json!({"concurrency_key": "k"})).await;
    // Eight workers at once: two of the one organisation's runs, and the other's.
    let workers = (0..8).map(|_| async {
        let worker = db.session().await;
        run_of(&claim(&worker, json!({})).await.0).to_owned()
    });
    let got = futures::future::join_all(workers).await;
    let mut got: Vec<_> = got.into_iter().filter(|run| !run.is_empty()).collect();
    assert_eq!(got.len(), 3, "{got:?}");
    got.retain(|run| *run != other);
    assert_eq!(got.len(), 2);
}

#[tokio::test]
async fn a_parked_run_wakes_for_its_time_or_an_answer() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let worker = db.session().await;
    let run = enqueue(&a, json!({})).await;
    let (first, ..) = claim(&worker, json!({})).await;
    let park = json!({"id": run, "lease_token": first["execution"]["lease_token"], "events": [],
        "park": {"run_after_us": null, "waits": [{"node": "ask", "kind": "approval"}], "answers_seen": 0}});
    assert_eq!(a.call("run_append", park).await["outcome"], "ok");
    assert_eq!(claim(&worker, json!({})).await.0["outcome"], "empty");
    let answer = json!({"id": run, "answer": {"node": "ask", "handle": "approved", "output": {}}});
    assert_eq!(a.call("run_answer", answer).await["outcome"], "answered");
    let (second, ..) = claim(&worker, json!({})).await;
    assert_eq!(run_of(&second), run);
    let loaded = json!({"id": run, "lease_token": second["execution"]["lease_token"]});
    let loaded = a.call("run_load", loaded).await;
    assert_eq!(loaded["answers"][0]["node"], "ask", "{loaded}");
    // What was answered before does not wake it again.
    let park = json!({"id": run, "lease_token": second["execution"]["lease_token"], "events": [],
        "park": {"run_after_us": null, "waits": [], "answers_seen": 1}});
    assert_eq!(a.call("run_append", park).await["outcome"], "ok");
    assert_eq!(claim(&worker, json!({})).await.0["outcome"], "empty");
}

#[tokio::test]
async fn enough_is_enough_and_lost_runs_are_given_up() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let worker = db.session().await;
    let run = enqueue(&a, json!({"max_losses": 2})).await;
    assert_eq!(
        claim(&worker, json!({"workers": 0})).await.0["outcome"],
        "busy"
    );
    for _ in 0..2 {
        let (answer, ..) = claim(&worker, json!({"lease_us": 0})).await;
        assert_eq!(run_of(&answer), run);
    }
    assert_eq!(claim(&worker, json!({})).await.0["outcome"], "empty");
    let got = a.call("run_get", json!({"id": run})).await;
    assert_eq!(got["execution"]["error"]["kind"], "dead_letter", "{got}");
    let trace = got["execution"]["trace_id"].as_str().unwrap();
    let spans = format!("SELECT count(*) FROM spans WHERE trace_id = '{trace}'");
    assert_eq!(a.count(&spans).await, 1);
    assert_eq!(
        a.call("run_requeue", json!({"id": run})).await["outcome"],
        "requeued"
    );
    assert_eq!(run_of(&claim(&worker, json!({})).await.0), run);
}
