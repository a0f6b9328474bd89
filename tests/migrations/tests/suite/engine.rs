//! What the engine keeps beside runs: results that count again, answers to nodes that wait.

use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};
use uuid::Uuid;

fn key(digit: &str) -> String {
    digit.repeat(64)
}

async fn put(session: &Session, key: &str, output: Value, ttl_us: i64) -> Value {
    let args = json!({"key": key, "output": output, "handle": "output", "ttl_us": ttl_us});
    session.call("cache_put", args).await["outcome"].clone()
}

async fn get(session: &Session, key: &str) -> Value {
    session.call("cache_get", json!({"key": key})).await
}

#[tokio::test]
async fn a_kept_result_counts_for_its_tenant_and_its_time() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let b = db.tenant("b").await.session(&db).await;
    assert_eq!(
        put(&a, &key("1"), json!({"n": 1}), 60_000_000).await,
        "kept"
    );
    assert_eq!(
        put(&a, &key("1"), json!({"n": 2}), 60_000_000).await,
        "kept"
    );
    assert_eq!(put(&a, &key("2"), json!(null), 0).await, "kept");
    assert_eq!(
        get(&a, &key("1")).await,
        json!({"output": {"n": 2}, "handle": "output"})
    );
    assert_eq!(get(&a, &key("2")).await, Value::Null, "its time is over");
    assert_eq!(get(&b, &key("1")).await, Value::Null, "another tenant's");
}

/// A run that waits at the node `ask`.
async fn waiting(session: &Session) -> String {
    let (run, trace) = (id(), Uuid::new_v4().simple().to_string());
    let started = json!({"execution": {"id": run, "trace_id": trace, "mode": "sync", "inputs": {},
        "definition": {"nodes": []}}});
    assert_eq!(
        session.call("run_start", started).await["outcome"],
        "started"
    );
    let beat = json!({"id": run, "waits": [{"node": "ask", "kind": "approval"}]});
    assert_eq!(
        session.call("run_heartbeat", beat).await["answers"],
        json!([])
    );
    run
}

#[tokio::test]
async fn the_first_answer_counts_and_is_fetched_once() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let b = db.tenant("b").await.session(&db).await;
    let run = waiting(&a).await;
    let answer = |node: &str| json!({"id": run, "answer": {"node": node, "handle": "approved", "output": 1}});
    assert_eq!(
        b.call("run_answer", answer("ask")).await["outcome"],
        "missing"
    );
    assert_eq!(
        a.call("run_answer", answer("other")).await["outcome"],
        "not_waiting"
    );
    let answered = a.call("run_answer", answer("ask")).await;
    assert_eq!(answered["outcome"], "answered");
    assert_eq!(answered["execution"]["waits"][0]["node"], "ask");
    assert_eq!(
        a.call("run_answer", answer("ask")).await["outcome"],
        "already"
    );
    let beat = |seen: usize| json!({"id": run, "answers_seen": seen});
    let fetched = a.call("run_heartbeat", beat(0)).await;
    assert_eq!(
        fetched["answers"],
        json!([{"node": "ask", "handle": "approved", "output": 1}])
    );
    assert_eq!(a.call("run_heartbeat", beat(1)).await["answers"], json!([]));
}
