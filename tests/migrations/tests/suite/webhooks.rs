//! Webhooks: events are written with what they tell, a delivery is one drainer's at a time, and only the last lease settles.

use migrations_tests::{Database, Session, Tenant, command, id, service};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Subscribes and gives the webhook's id.
async fn subscribe(session: &Session, row: Value) -> String {
    let (webhook, mut given) = (
        id(),
        json!({"name": "w", "url": "https://a.example/", "headers": {}}),
    );
    let map = given.as_object_mut().expect("an object");
    map.extend(row.as_object().expect("an object").clone());
    let args = json!({"id": webhook, "row": given, "secret": sealed()});
    let made = command(session, "webhook_create", args).await;
    assert_eq!(made["outcome"], "done", "{made}");
    webhook
}

fn sealed() -> Value {
    json!({"id": id(), "key_version": 1, "wrapped_key": "\\x01", "nonce": "\\x02", "ciphertext": "\\x03"})
}

/// A run that ends.
async fn run(session: &Session, status: &str) -> String {
    let (run, trace) = (id(), Uuid::new_v4().simple().to_string());
    let start = json!({"execution": {"id": run, "trace_id": trace, "mode": "sync", "inputs": {},
        "definition": {"nodes": []}}});
    assert_eq!(session.call("run_start", start).await["outcome"], "started");
    let end =
        json!({"execution": {"id": run, "status": status, "outputs": {"out": 1}}, "events": []});
    assert_eq!(
        session.call("run_commit", end).await["outcome"],
        "committed"
    );
    run
}

async fn claim(worker: &Session, args: Value) -> Vec<Value> {
    let claimed = service(worker, "webhooks_claim", args).await;
    claimed["deliveries"].as_array().expect("a list").clone()
}

fn settled(delivery: &Value, outcome: &str) -> Value {
    json!({"id": delivery["id"], "lease_token": delivery["lease_token"], "outcome": outcome,
        "next_us": 4_000_000_000_000_000_i64, "reason": "because",
        "attempt": {"id": id(), "status": 500, "request": {}, "duration_us": 1, "at_us": 1_000_000}})
}

async fn status(session: &Session, delivery: &Value) -> Value {
    let found = session
        .call("webhook_delivery", json!({"id": delivery["id"]}))
        .await;
    found["delivery"]["status"].clone()
}

async fn tenant(db: &Database) -> (Tenant, Session, Session) {
    let tenant = db.tenant("a").await;
    let session = tenant.session(db).await;
    (tenant, session, db.session().await)
}

#[tokio::test]
async fn a_run_that_ends_is_an_event_for_those_who_listen() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let other = db.tenant("b").await.session(&db).await;
    let failures = subscribe(&me, json!({"event_types": ["run.failed"]})).await;
    let all = subscribe(&me, json!({"event_types": []})).await;
    subscribe(&other, json!({"event_types": ["*"]})).await;
    let ended = run(&me, "succeeded").await;
    let told = claim(&worker, json!({"most": 10})).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0]["webhook_id"], &told[0]["event_type"]),
        (&json!(all), &json!("run.completed"))
    );
    let body: Value = serde_json::from_str(told[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&body["type"], &body["data"]["execution_id"]),
        (&json!("run.completed"), &json!(ended))
    );
    assert_eq!(told[0]["secrets"][0]["ciphertext"], "03");
    run(&me, "failed").await;
    let told = claim(&worker, json!({"most": 10})).await;
    let hooks: BTreeSet<_> = told
        .iter()
        .filter_map(|d| d["webhook_id"].as_str())
        .collect();
    assert_eq!(hooks, BTreeSet::from([failures.as_str(), all.as_str()]));
}

#[tokio::test]
async fn what_is_undone_is_no_event() {
    let db = Database::fresh().await;
    let (_, me, _) = tenant(&db).await;
    subscribe(&me, json!({"event_types": []})).await;
    me.client().batch_execute("BEGIN").await.unwrap();
    run(&me, "succeeded").await;
    me.client().batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(
        me.count("SELECT count(*) FROM public.webhook_deliveries")
            .await,
        0
    );
}

#[tokio::test]
async fn two_drainers_never_hold_one_delivery() {
    let db = Database::fresh().await;
    let (_, me, _) = tenant(&db).await;
    subscribe(&me, json!({"event_types": ["run.completed"]})).await;
    for _ in 0..40 {
        run(&me, "succeeded").await;
    }
    let workers = (0..8).map(|_| async {
        let worker = db.session().await;
        let mut got = Vec::new();
        for _ in 0..20 {
            got.extend(claim(&worker, json!({"most": 3})).await);
        }
        got
    });
    let got: Vec<Value> = futures::future::join_all(workers).await.concat();
    let ids: BTreeSet<_> = got.iter().map(|d| d["id"].as_str().unwrap()).collect();
    assert_eq!((got.len(), ids.len()), (40, 40));
}

#[tokio::test]
async fn only_the_last_lease_settles() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    subscribe(&me, json!({"event_types": []})).await;
    run(&me, "succeeded").await;
    let first = claim(&worker, json!({"most": 1, "lease_us": 0})).await;
    let second = claim(&worker, json!({"most": 1})).await;
    assert_eq!(first[0]["id"], second[0]["id"]);
    assert_eq!(
        (&second[0]["attempt"], &second[0]["step"]),
        (&json!(2), &json!(1))
    );
    let late = service(&worker, "webhook_settle", settled(&first[0], "gone")).await;
    assert_eq!(late["outcome"], "fenced");
    assert_eq!(
        me.count("SELECT count(*) FROM public.webhook_attempts")
            .await,
        0
    );
    let held = "SELECT count(*) FROM public.webhooks WHERE disabled_at IS NOT NULL";
    assert_eq!(me.count(held).await, 0);
    let told = service(&worker, "webhook_settle", settled(&second[0], "delivered")).await;
    assert_eq!(told["status"], "delivered");
    let again = service(&worker, "webhook_settle", settled(&second[0], "gone")).await;
    assert_eq!(again["outcome"], "fenced");
    assert_eq!(status(&me, &second[0]).await, "delivered");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_turned_off_and_the_others_hear_of_it() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let gone = subscribe(&me, json!({"event_types": ["run.completed"]})).await;
    let ops = subscribe(&me, json!({"event_types": ["webhook.disabled"]})).await;
    run(&me, "succeeded").await;
    run(&me, "succeeded").await;
    let taken = claim(&worker, json!({"most": 1})).await;
    let told = service(&worker, "webhook_settle", settled(&taken[0], "gone")).await;
    assert_eq!(
        (&told["status"], &told["disabled"]),
        (&json!("failed"), &json!(true))
    );
    // The one that waited is not sent; what others must know is.
    let next = claim(&worker, json!({"most": 10})).await;
    assert_eq!(next.len(), 1, "{next:?}");
    assert_eq!(
        (&next[0]["event_type"], &next[0]["webhook_id"]),
        (&json!("webhook.disabled"), &json!(ops))
    );
    let cancelled = "SELECT count(*) FROM public.webhook_deliveries WHERE status = 'cancelled'";
    assert_eq!(me.count(cancelled).await, 1);
    run(&me, "succeeded").await;
    assert!(claim(&worker, json!({"most": 10})).await.is_empty());
    let refused = command(&me, "webhook_replay", json!({"id": taken[0]["id"]})).await;
    assert_eq!(refused["outcome"], "refused", "{refused}");
    let on = json!({"id": gone, "row": {"disabled_at": null, "disabled_reason": null}});
    assert_eq!(command(&me, "webhook_update", on).await["outcome"], "done");
    let range = json!({"id": gone, "from_us": 0, "to_us": 4_000_000_000_000_000_i64,
        "statuses": ["failed", "cancelled"]});
    let replayed = command(&me, "webhook_replay_range", range).await;
    assert_eq!(
        replayed["answer"]["body"],
        json!({"replayed": 2, "more": false})
    );
    assert_eq!(claim(&worker, json!({"most": 10})).await.len(), 2);
}

#[tokio::test]
async fn an_exhausted_delivery_turns_off_only_who_takes_nothing() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    subscribe(&me, json!({"event_types": []})).await;
    run(&me, "succeeded").await;
    run(&me, "succeeded").await;
    let taken = claim(&worker, json!({"most": 2})).await;
    service(&worker, "webhook_settle", settled(&taken[1], "delivered")).await;
    let told = service(&worker, "webhook_settle", settled(&taken[0], "exhausted")).await;
    assert_eq!(
        (&told["status"], &told["disabled"]),
        (&json!("failed"), &json!(false))
    );
    run(&me, "succeeded").await;
    let taken = claim(&worker, json!({"most": 1})).await;
    let told = service(&worker, "webhook_settle", settled(&taken[0], "exhausted")).await;
    assert_eq!(told["disabled"], true);
}

#[tokio::test]
async fn who_asks_for_silence_holds_back_what_waits() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    subscribe(&me, json!({"event_types": []})).await;
    run(&me, "succeeded").await;
    run(&me, "succeeded").await;
    let taken = claim(&worker, json!({"most": 1})).await;
    let mut again = settled(&taken[0], "retry");
    again["throttle_us"] = json!(3_900_000_000_000_000_i64);
    let told = service(&worker, "webhook_settle", again).await;
    assert_eq!(told["status"], "pending");
    run(&me, "succeeded").await;
    let left = service(&worker, "webhooks_claim", json!({"most": 10})).await;
    assert_eq!(left["deliveries"], json!([]));
    assert_eq!(left["due_us"], json!(3_900_000_000_000_000_i64));
}

#[tokio::test]
async fn a_busy_webhook_waits_for_the_others() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    subscribe(&me, json!({"event_types": ["run.completed"]})).await;
    for _ in 0..10 {
        run(&me, "succeeded").await;
    }
    let quiet = subscribe(&me, json!({"event_types": ["run.failed"]})).await;
    run(&me, "failed").await;
    claim(&worker, json!({"most": 1})).await;
    let next = claim(&worker, json!({"most": 1})).await;
    assert_eq!(next[0]["webhook_id"], json!(quiet));
}

#[tokio::test]
async fn callers_reach_neither_leases_nor_keys_nor_the_others_webhooks() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let other = db.tenant("b").await.session(&db).await;
    let hook = subscribe(&me, json!({"event_types": []})).await;
    run(&me, "succeeded").await;
    let taken = claim(&worker, json!({"most": 1})).await;
    for sql in [
        "UPDATE public.webhook_deliveries SET lease_token = 9",
        "INSERT INTO public.webhook_deliveries (id, org_id, webhook_id, event_type) SELECT id, org_id, id, 'x' FROM public.webhooks",
        "UPDATE nodeai.webhook_secrets SET expires_at = NULL",
    ] {
        assert_eq!(me.touch(sql).await.unwrap_err().code(), "42501", "{sql}");
    }
    for name in ["webhooks_claim", "webhook_settle", "alerts_evaluate_due"] {
        let refused = me.try_call(name, json!({"most": 1})).await.unwrap_err();
        assert_eq!(refused.code().map(|c| c.code()), Some("42501"), "{name}");
    }
    for name in [
        "webhook_test",
        "webhook_replay_range",
        "webhook_remove",
        "webhook_rotate",
    ] {
        let args = json!({"id": hook, "delivery_id": id(), "secret": sealed(), "overlap_s": 0, "from_us": 0,
            "to_us": 1, "statuses": ["failed"]});
        assert_eq!(
            command(&other, name, args).await["outcome"],
            "missing",
            "{name}"
        );
    }
    let args = json!({"id": taken[0]["id"]});
    assert_eq!(
        command(&other, "webhook_replay", args).await["outcome"],
        "missing"
    );
    assert_eq!(status(&other, &taken[0]).await, Value::Null);
}

#[tokio::test]
async fn keys_overlap_while_one_is_rotated_and_follow_the_master_key() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    let hook = subscribe(&me, json!({"event_types": []})).await;
    let rotate = |overlap_s| json!({"id": hook, "secret": sealed(), "overlap_s": overlap_s});
    assert_eq!(
        command(&me, "webhook_rotate", rotate(3_600)).await["outcome"],
        "done"
    );
    run(&me, "succeeded").await;
    let two = claim(&worker, json!({"most": 1})).await;
    assert_eq!(two[0]["secrets"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        command(&me, "webhook_rotate", rotate(0)).await["outcome"],
        "done"
    );
    run(&me, "succeeded").await;
    // The first one still has its hour; the second one ended at once.
    let left = claim(&worker, json!({"most": 1})).await;
    assert_eq!(left[0]["secrets"].as_array().map(Vec::len), Some(2));
    let owner = db.owner().await;
    let ask = json!({"key_version": 2, "limit": 10});
    let row = owner
        .query_one("SELECT nodeai.stale_keys($1)", &[&ask])
        .await
        .unwrap();
    let stale: Value = row.get(0);
    assert_eq!(stale["rows"][0]["kind"], "webhook", "{stale}");
    let rows: Vec<Value> = stale["rows"].as_array().unwrap().iter().map(|key| {
        json!({"kind": key["kind"], "id": key["id"], "from_version": 1, "key_version": 2, "wrapped_key": "05"})
    }).collect();
    let args = json!({"rows": rows});
    let row = owner
        .query_one("SELECT nodeai.rewrap_keys($1)", &[&args])
        .await
        .unwrap();
    assert_eq!(row.get::<_, Value>(0)["changed"], stale["remaining"]);
}

#[tokio::test]
async fn alerts_deployments_and_budgets_are_events_too() {
    let db = Database::fresh().await;
    let (_, me, worker) = tenant(&db).await;
    subscribe(&me, json!({"event_types": []})).await;
    let rule = json!({"table": "alert_rules", "id": id(), "row": {"name": "quiet", "kind": "threshold",
        "condition": {"measure": "runs", "op": "<", "value": 1, "window_hours": 1}}});
    assert_eq!(me.call("write", rule).await["outcome"], "done");
    let asked = service(&worker, "alerts_evaluate_due", json!({"most": 10})).await;
    assert_eq!(
        (&asked["opened"], &asked["failed"]),
        (&json!(1), &json!(0)),
        "{asked}"
    );
    let again = service(&worker, "alerts_evaluate_due", json!({"most": 10})).await;
    assert_eq!(
        again["organizations"], 0,
        "within the minute nobody is asked again"
    );
    let (workflow, deployment) = (id(), id());
    let write =
        json!({"table": "workflows", "id": workflow, "row": {"name": "w", "definition": {}}});
    assert_eq!(me.call("write", write).await["outcome"], "done");
    let args = json!({"id": deployment, "slug": "s", "workflow_id": workflow, "environment": "dev", "variables": {}});
    assert_eq!(
        command(&me, "deployment_create", args).await["outcome"],
        "done"
    );
    let args = json!({"id": id(), "name": "b", "subject": "organization", "period": "total", "limit_tokens": 10,
        "unpriced": "refuse"});
    assert_eq!(command(&me, "budget_create", args).await["outcome"], "done");
    let owner = db.owner().await;
    for spent in [7, 8, 9, 10] {
        let sql = format!("UPDATE public.budgets SET spent_tokens = {spent}");
        owner.batch_execute(&sql).await.unwrap();
    }
    owner
        .batch_execute("UPDATE public.alerts SET state = 'resolved'")
        .await
        .unwrap();
    let told = claim(&worker, json!({"most": 20})).await;
    let mut types: Vec<_> = told
        .iter()
        .filter_map(|d| d["event_type"].as_str())
        .collect();
    types.sort_unstable();
    assert_eq!(
        types,
        [
            "alert.opened",
            "alert.resolved",
            "budget.threshold",
            "budget.threshold",
            "deployment.changed"
        ]
    );
}
