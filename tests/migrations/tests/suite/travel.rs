//! Recordings: their text stays as it is, they go by their own retention, and forks say where they come from.

use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};
use uuid::Uuid;

/// What jsonb would rewrite: the order of members, a number, and a character that it cannot hold.
const TEXT: &str = r#"[{"seq":0,"zebra":1e16,"a":"\u0000"},{"seq":1,"b":1.0}]"#;

fn start(run: &str, more: Value) -> Value {
    let mut execution = json!({"id": run, "trace_id": Uuid::new_v4().simple().to_string(), "mode": "sync",
        "inputs": {}, "definition": {"nodes": []}});
    let all = execution.as_object_mut().expect("an object");
    all.extend(more.as_object().cloned().unwrap_or_default());
    json!({"execution": execution})
}

/// A run that has ended and was recorded.
async fn recorded(session: &Session) -> String {
    let run = id();
    let started = session.call("run_start", start(&run, json!({}))).await;
    assert_eq!(started["outcome"], "started");
    let end = json!({"execution": {"id": run, "status": "succeeded", "outputs": {}},
        "first_seq": 0, "last_seq": 1, "events": [TEXT]});
    assert_eq!(
        session.call("run_commit", end).await["outcome"],
        "committed"
    );
    run
}

#[tokio::test]
async fn a_recording_keeps_its_text_and_is_its_tenants() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let b = db.tenant("b").await.session(&db).await;
    let run = recorded(&a).await;
    let whole = a
        .call("run_recording", json!({"id": run, "definition": true}))
        .await;
    assert_eq!(whole["pieces"], json!([TEXT]));
    assert_eq!(whole["workflow"]["definition"], json!({"nodes": []}));
    assert_eq!(
        (&whole["dropped"], &whole["execution"]["forked_from"]),
        (&json!(false), &Value::Null)
    );
    let later = json!({"id": run, "first_seq": 2, "last_seq": 9});
    let later = a.call("run_recording", later).await;
    assert_eq!(
        (&later["pieces"], &later["workflow"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(
        b.call("run_recording", json!({"id": run})).await,
        Value::Null
    );
}

#[tokio::test]
async fn a_fork_says_where_it_comes_from() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let b = db.tenant("b").await.session(&db).await;
    let run = recorded(&a).await;
    let fork = id();
    let from = json!({"forked_from": run, "forked_node": "ask"});
    let refused = b.call("fork_start", start(&id(), from.clone())).await;
    assert_eq!(refused["outcome"], "missing", "another tenant's run");
    let started = a.call("fork_start", start(&fork, from)).await;
    assert_eq!(started["outcome"], "started", "{started}");
    let seen = a.call("run_get", json!({"id": fork})).await;
    assert_eq!(
        seen["execution"]["forked_from"],
        json!({"execution_id": run, "node": "ask"})
    );
    let gone = start(&id(), json!({"forked_from": id(), "forked_node": "ask"}));
    assert_eq!(a.call("fork_start", gone).await["outcome"], "missing");
}

#[tokio::test]
async fn recordings_go_by_their_own_retention() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let a = tenant.session(&db).await;
    let (old, young) = (recorded(&a).await, recorded(&a).await);
    let unfinished = id();
    a.call("run_start", start(&unfinished, json!({}))).await;
    let owner = db.owner().await;
    let drop = || async {
        let row = owner
            .query_one("SELECT nodeai.housekeeping('{}')", &[])
            .await
            .expect("housekeeping");
        row.get::<_, Value>(0)["run_logs_dropped"].clone()
    };
    let age = format!(
        "UPDATE public.run_log_segments SET at = now() - interval '10 days' WHERE execution_id = '{old}';
         UPDATE public.execution_queue SET finished_at = now() - interval '10 days' WHERE id = '{old}'"
    );
    owner.batch_execute(&age).await.expect("an old run");
    assert_eq!(drop().await, 0, "as long as traces: 30 days");
    let set = json!({"do": "recording_retention", "args": {"days": 7},
        "audit": {"action": "set", "resource_type": "organisation", "resource_id": tenant.org},
        "answer": {"status": 200, "headers": [], "body": {}}});
    let done = a.call("command", set).await;
    assert_eq!(
        done["answer"]["body"],
        json!({"days": 7, "in_force_days": 7}),
        "{done}"
    );
    assert_eq!(drop().await, 1);
    assert_eq!(drop().await, 0, "nothing is left to drop");
    let gone = a.call("run_recording", json!({"id": old})).await;
    assert_eq!(
        (&gone["dropped"], &gone["pieces"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(
        gone["execution"]["status"], "succeeded",
        "the run itself stays"
    );
    let kept = a.call("run_recording", json!({"id": young})).await;
    assert_eq!(kept["pieces"], json!([TEXT]));
}
