//! What starts runs by itself: incoming webhooks and schedules act as their owner, a delivery and an instant run once, and
//! only the last lease fires.

use migrations_tests::{Database, Session, Tenant, command, id, service};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

async fn workflow(session: &Session) -> String {
    let (workflow, empty) = (id(), json!({"nodes": [], "edges": []}));
    let row = json!({"name": "w", "definition": empty});
    let write = json!({"table": "workflows", "op": "insert", "id": workflow, "row": row,
        "answer": {"status": 201, "body": {}}});
    let made = session.call("write", write).await;
    assert_eq!(made["outcome"], "done", "{made}");
    workflow
}

/// An incoming webhook of this workflow: its id and its path.
async fn hook(session: &Session, workflow: &str) -> (String, String) {
    let (hook, path) = (id(), Uuid::new_v4().simple().to_string());
    let row = json!({"name": "h", "path": path, "workflow_id": workflow, "verification": {"scheme": "none"}});
    let made = command(
        session,
        "incoming_create",
        json!({"id": hook, "row": row, "secret": null}),
    )
    .await;
    assert_eq!(made["outcome"], "done", "{made}");
    (hook, path)
}

fn request(hook: &str, delivery: Option<&str>) -> Value {
    json!({"id": hook, "request": {"id": id(), "method": "POST", "path": "/", "verified": true, "delivery_id": delivery},
        "execution": {"id": id(), "trace_id": Uuid::new_v4().simple().to_string(), "inputs": {"body": 1}}})
}

async fn schedule(session: &Session, workflow: &str, more: Value) -> String {
    let schedule = id();
    let mut row = json!({"name": "s", "cron": "* * * * *", "workflow_id": workflow,
        "next_at": "2026-01-01T00:00:00Z", "next_scheduled_at": "2026-01-01T00:00:00Z"});
    let map = row.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    let made = command(
        session,
        "schedule_create",
        json!({"id": schedule, "row": row}),
    )
    .await;
    assert_eq!(made["outcome"], "done", "{made}");
    schedule
}

fn fire(taken: &Value, instants: &[i64]) -> Value {
    let run = |at: &i64| {
        json!({"scheduled_us": at,
        "execution": {"id": id(), "trace_id": Uuid::new_v4().simple().to_string()}})
    };
    let runs: Vec<Value> = instants.iter().map(run).collect();
    json!({"id": taken["id"], "lease_token": taken["lease_token"], "runs": runs, "missed": null})
}

async fn claim(worker: &Session) -> Vec<Value> {
    let claimed = service(worker, "schedules_claim", json!({"most": 10})).await;
    claimed["schedules"].as_array().expect("a list").clone()
}

async fn tenant(db: &Database) -> (Tenant, Session, Session) {
    let tenant = db.tenant("a").await;
    let session = tenant.session(db).await;
    (tenant, session, db.session().await)
}

#[tokio::test]
async fn a_request_runs_as_the_owner_and_a_repetition_does_not() {
    let db = Database::fresh().await;
    let (me, session, worker) = tenant(&db).await;
    let (hook, path) = hook(&session, &workflow(&session).await).await;
    let found = service(&worker, "hook_find", json!({"path": path})).await;
    assert_eq!(found["webhook"]["owner_id"], json!(me.user));
    let nothing = service(&worker, "hook_find", json!({"path": "0123456789abcdef"})).await;
    assert_eq!(nothing, Value::Null);
    let first = service(&worker, "hook_receive", request(&hook, Some("d1"))).await;
    assert_eq!(first["outcome"], "started", "{first}");
    let again = service(&worker, "hook_receive", request(&hook, Some("d1"))).await;
    assert_eq!(
        (&again["outcome"], &again["execution_id"]),
        (&json!("duplicate"), &first["execution_id"])
    );
    let run = first["execution_id"].as_str().expect("a run");
    let mine = format!(
        "SELECT count(*) FROM public.execution_queue WHERE id = '{run}' AND user_id = '{}' AND status = 'queued' AND mode = 'queued'",
        me.user
    );
    assert_eq!(session.count(&mine).await, 1);
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.execution_queue")
            .await,
        1
    );
    // Whoever acts for everybody is that again afterwards, within the same transaction.
    worker.client().batch_execute("BEGIN").await.expect("begun");
    service(&worker, "hook_receive", request(&hook, Some("d2"))).await;
    let sql = "SELECT current_setting('role'), current_setting('request.jwt.claims')";
    let row = worker.client().query_one(sql, &[]).await.expect("a row");
    let acting: (String, String) = (row.get(0), row.get(1));
    assert_eq!(
        acting,
        ("service_role".into(), r#"{"role":"service_role"}"#.into())
    );
}

#[tokio::test]
async fn repetitions_at_the_same_moment_are_one_run() {
    let db = Database::fresh().await;
    let (_, session, _) = tenant(&db).await;
    let (hook, _) = hook(&session, &workflow(&session).await).await;
    let senders = (0..8).map(|_| async {
        let worker = db.session().await;
        service(&worker, "hook_receive", request(&hook, Some("d1"))).await
    });
    let got = futures::future::join_all(senders).await;
    let runs: BTreeSet<_> = got
        .iter()
        .filter_map(|one| one["execution_id"].as_str())
        .collect();
    assert_eq!(runs.len(), 1, "{got:?}");
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.execution_queue")
            .await,
        1
    );
}

#[tokio::test]
async fn what_starts_nothing_is_not_claimed() {
    let db = Database::fresh().await;
    let (me, session, worker) = tenant(&db).await;
    let workflow = workflow(&session).await;
    let (hook, _) = hook(&session, &workflow).await;
    let owner = db.owner().await;
    let other = db.tenant("b").await;
    let leave = format!(
        "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{org}', '{}', 'owner');
         UPDATE public.organization_members SET role = 'viewer' WHERE user_id = '{}' AND org_id = '{org}'",
        other.user,
        me.user,
        org = me.org,
    );
    owner.batch_execute(&leave).await.expect("a viewer");
    for _ in 0..2 {
        let refused = service(&worker, "hook_receive", request(&hook, Some("d1"))).await;
        assert_eq!(refused["outcome"], "owner_gone", "{refused}");
    }
    let noted = "SELECT count(*) FROM public.audit_logs WHERE action = 'webhook.refused'";
    let noted = owner.query_one(noted, &[]).await.expect("a count");
    assert_eq!(noted.get::<_, i64>(0), 1);
    let back = format!(
        "UPDATE public.organization_members SET role = 'owner' WHERE user_id = '{}'",
        me.user
    );
    owner.batch_execute(&back).await.expect("the owner again");
    let gone = format!("UPDATE public.workflows SET deleted_at = now() WHERE id = '{workflow}'");
    owner.batch_execute(&gone).await.expect("gone");
    let refused = service(&worker, "hook_receive", request(&hook, Some("d1"))).await;
    assert_eq!(refused["outcome"], "missing", "{refused}");
    let back = format!("UPDATE public.workflows SET deleted_at = NULL WHERE id = '{workflow}'");
    owner.batch_execute(&back).await.expect("there again");
    let taken = service(&worker, "hook_receive", request(&hook, Some("d1"))).await;
    assert_eq!(taken["outcome"], "started", "{taken}");
}

#[tokio::test]
async fn a_stranger_reads_no_requests_and_runs_nothing_of_others() {
    let db = Database::fresh().await;
    let (_, session, worker) = tenant(&db).await;
    let theirs = workflow(&session).await;
    let (hook, _) = hook(&session, &theirs).await;
    service(&worker, "hook_receive", request(&hook, None)).await;
    let stranger = db.tenant("b").await.session(&db).await;
    assert_eq!(
        stranger.call("hook_requests", json!({"id": hook})).await,
        Value::Null
    );
    assert_eq!(
        stranger
            .count("SELECT count(*) FROM public.webhook_requests")
            .await,
        0
    );
    let row = json!({"name": "h", "path": Uuid::new_v4().simple().to_string(), "workflow_id": theirs,
        "verification": {"scheme": "none"}});
    let refused = command(
        &stranger,
        "incoming_create",
        json!({"id": id(), "row": row, "secret": null}),
    )
    .await;
    assert_eq!(refused["outcome"], "refused", "{refused}");
    // Nobody says as whom something runs but by being that.
    let forged = json!({"table": "webhooks", "op": "insert", "id": id(), "answer": {"status": 201, "body": {}},
        "row": {"name": "h", "direction": "in", "path": Uuid::new_v4().simple().to_string(), "owner_id": id()}});
    let refused = stranger.call("write", forged).await;
    assert_eq!(refused["outcome"], "forbidden", "{refused}");
}

#[tokio::test]
async fn two_drainers_never_fire_one_schedule_and_an_instant_runs_once() {
    let db = Database::fresh().await;
    let (_, session, worker) = tenant(&db).await;
    let schedule = schedule(&session, &workflow(&session).await, json!({})).await;
    let drainers = (0..8).map(|_| async {
        let worker = db.session().await;
        claim(&worker).await
    });
    let taken = futures::future::join_all(drainers).await.concat();
    assert_eq!(taken.len(), 1, "{taken:?}");
    let at = 1_767_225_600_000_000_i64;
    let fired = service(
        &worker,
        "schedule_fire",
        fire(&taken[0], &[at, at + 60_000_000]),
    )
    .await;
    assert_eq!(
        fired["started"].as_array().map(Vec::len),
        Some(2),
        "{fired}"
    );
    // The same lease once more, as after an answer that was lost: the runs are the first ones.
    let again = service(&worker, "schedule_fire", fire(&taken[0], &[at])).await;
    assert_eq!(again["started"][0], fired["started"][0]);
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.execution_queue")
            .await,
        2
    );
    let history = session
        .call("schedule_history", json!({"id": schedule, "limit": 10}))
        .await;
    assert_eq!(
        history["firings"].as_array().map(Vec::len),
        Some(3),
        "{history}"
    );
}

#[tokio::test]
async fn a_change_fences_whoever_holds_the_schedule() {
    let db = Database::fresh().await;
    let (_, session, worker) = tenant(&db).await;
    let schedule = schedule(&session, &workflow(&session).await, json!({})).await;
    let taken = claim(&worker).await;
    let row =
        json!({"cron": "0 * * * *", "next_at": "2026-01-01T00:00:00Z", "next_scheduled_at": null});
    let changed = command(
        &session,
        "schedule_update",
        json!({"id": schedule, "row": row}),
    )
    .await;
    assert_eq!(changed["outcome"], "done", "{changed}");
    let late = service(
        &worker,
        "schedule_fire",
        fire(&taken[0], &[1_767_225_600_000_000]),
    )
    .await;
    assert_eq!(late["outcome"], "fenced");
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.execution_queue")
            .await,
        0
    );
    let now = claim(&worker).await;
    assert_eq!(
        (&now[0]["cron"], &now[0]["next_scheduled_us"]),
        (&json!("0 * * * *"), &Value::Null)
    );
}

#[tokio::test]
async fn a_run_that_is_not_over_keeps_back_what_must_not_overlap() {
    let db = Database::fresh().await;
    let (_, session, worker) = tenant(&db).await;
    let schedule = schedule(
        &session,
        &workflow(&session).await,
        json!({"overlap": "skip"}),
    )
    .await;
    let taken = claim(&worker).await;
    let at = 1_767_225_600_000_000_i64;
    let fired = service(
        &worker,
        "schedule_fire",
        fire(&taken[0], &[at, at + 60_000_000]),
    )
    .await;
    assert_eq!(
        fired["started"].as_array().map(Vec::len),
        Some(1),
        "{fired}"
    );
    let history = session
        .call("schedule_history", json!({"id": schedule, "limit": 10}))
        .await;
    let outcomes: BTreeSet<_> = history["firings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|firing| firing["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, BTreeSet::from(["overlapped", "started"]));
}
