//! Runs: start, commit, replay, cancel, abandon; all or nothing.

use futures::future::join_all;
use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};
use uuid::Uuid;

fn trace_id() -> String {
    Uuid::new_v4().simple().to_string()
}

fn span_id() -> String {
    Uuid::new_v4().simple().to_string()[..16].to_owned()
}

fn now_us() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(now.as_micros()).expect("before 294247")
}

/// The start of an ad-hoc run.
fn start(run: &str, trace: &str) -> Value {
    json!({"execution": {"id": run, "trace_id": trace, "mode": "sync", "inputs": {"n": 1},
                         "definition": {"nodes": []}, "started_us": now_us()}})
}

/// The end of a run: two events, a root span with one child, one usage row.
fn commit(run: &str, trace: &str) -> Value {
    let (root, child, at) = (span_id(), span_id(), now_us());
    let span = |id: &str, parent: Option<&str>, name: &str| {
        json!({"trace_id": trace, "span_id": id, "parent_span_id": parent, "name": name, "kind": "internal",
               "status": "ok", "start_us": at, "end_us": at + 1500, "cost_pusd": 7})
    };
    json!({
        "execution": {"id": run, "status": "succeeded", "outputs": {"n": 2}, "cost_pusd": 7, "finished_us": at + 1500},
        "first_seq": 1, "last_seq": 2, "events": [{"seq": 1}, {"seq": 2}],
        "trace": {"trace_id": trace, "name": "invoke_workflow", "kind": "run", "status": "ok", "start_us": at,
                  "duration_us": 1500, "execution_id": run, "cost_pusd": 7},
        "spans": [span(&root, None, "invoke_workflow"), span(&child, Some(&root), "template")],
        "usage": [{"id": id(), "kind": "run", "at_us": at, "execution_id": run, "cost_pusd": 7}],
    })
}

fn claimed(mut request: Value, hash: &str) -> Value {
    request["idempotency"] = json!({"key": "k", "request_hash": hash});
    request
}

async fn outcome(session: &Session, function: &str, argument: Value) -> Value {
    session.call(function, argument).await["outcome"].clone()
}

#[tokio::test]
async fn a_run_starts_commits_once_and_shows_its_tree() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let (run, trace) = (id(), trace_id());
    let started = session.call("run_start", start(&run, &trace)).await;
    assert_eq!(started["outcome"], "started");
    assert_eq!(started["execution"]["status"], "running");
    let end = commit(&run, &trace);
    assert_eq!(
        outcome(&session, "run_commit", end.clone()).await,
        "committed"
    );
    assert_eq!(outcome(&session, "run_commit", end).await, "already");
    let tree = session.call("trace_tree", json!({"trace_id": trace})).await;
    assert_eq!(tree["trace"]["span_count"], 2);
    assert_eq!(tree["trace"]["execution_id"], run);
    assert_eq!(tree["spans"].as_array().map(Vec::len), Some(2));
    let got = session
        .call("run_get", json!({"id": run, "events": true}))
        .await;
    assert_eq!(got["execution"]["outputs"], json!({"n": 2}));
    assert_eq!(got["events"], json!([{"seq": 1}, {"seq": 2}]));
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing_half_written() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let (run, trace) = (id(), trace_id());
    session.call("run_start", start(&run, &trace)).await;
    let mut end = commit(&run, &trace);
    end["spans"][1]["span_id"] = json!("not hex");
    assert!(session.try_call("run_commit", end.clone()).await.is_err());
    assert_eq!(
        session.call("trace_tree", json!({"trace_id": trace})).await,
        Value::Null
    );
    let got = session
        .call("run_get", json!({"id": run, "events": true}))
        .await;
    assert_eq!(got["execution"]["status"], "running");
    assert_eq!(got["events"], json!([]));
}

#[tokio::test]
async fn the_stored_workflow_comes_with_the_start() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let session = a.session(&db).await;
    let workflow = id();
    for (op, name) in [("insert", "first"), ("update", "second")] {
        let definition = json!({"nodes": [name]});
        let made = session.call("write", json!({"table": "workflows", "op": op, "id": workflow,
            "row": {"name": name, "definition": definition},
            "children": [{"table": "workflow_versions", "row": {"workflow_id": workflow, "definition": definition}}]}));
        assert_eq!(made.await["outcome"], "done");
    }
    let of = |version: Value| json!({"execution": {"id": id(), "trace_id": trace_id(), "workflow_id": workflow, "version": version}});
    let current = session.call("run_start", of(Value::Null)).await;
    assert_eq!(
        current["workflow"],
        json!({"id": workflow, "name": "second", "version": 2, "definition": {"nodes": ["second"]}})
    );
    assert_eq!(
        session.call("run_start", of(json!(1))).await["workflow"]["definition"],
        json!({"nodes": ["first"]})
    );
    assert_eq!(
        outcome(&session, "run_start", of(json!(9))).await,
        "missing"
    );
    assert_eq!(
        outcome(&b.session(&db).await, "run_start", of(Value::Null)).await,
        "missing"
    );
}

#[tokio::test]
async fn a_key_limited_to_workflows_runs_nothing_else() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let sql = format!(
        "UPDATE public.api_keys SET workflow_ids = ARRAY['{}']::uuid[] WHERE id = '{}'",
        id(),
        tenant.key
    );
    db.owner()
        .await
        .batch_execute(&sql)
        .await
        .expect("a limited key");
    let session = tenant.session(&db).await;
    assert_eq!(
        outcome(&session, "run_start", start(&id(), &trace_id())).await,
        "forbidden"
    );
    let other = json!({"execution": {"id": id(), "trace_id": trace_id(), "workflow_id": id()}});
    assert_eq!(outcome(&session, "run_start", other).await, "missing");
}

#[tokio::test]
async fn twenty_starts_with_one_key_are_one_run() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let sessions = join_all((0..20).map(|_| tenant.session(&db))).await;
    let starts = sessions
        .iter()
        .map(|session| session.call("run_start", claimed(start(&id(), &trace_id()), "h")));
    let answers = join_all(starts).await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer["outcome"] == "started")
            .count(),
        1
    );
    for answer in &answers {
        assert_eq!(answer["execution"]["id"], answers[0]["execution"]["id"]);
    }
    assert_eq!(
        outcome(
            &sessions[0],
            "run_start",
            claimed(start(&id(), &trace_id()), "other")
        )
        .await,
        "key_reused"
    );
}

#[tokio::test]
async fn an_abandoned_start_frees_its_key() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let run = id();
    session
        .call("run_start", claimed(start(&run, &trace_id()), "h"))
        .await;
    assert_eq!(
        outcome(&session, "run_abandon", json!({"id": run})).await,
        "done"
    );
    assert_eq!(
        outcome(&session, "run_abandon", json!({"id": run})).await,
        "missing"
    );
    assert_eq!(
        outcome(
            &session,
            "run_start",
            claimed(start(&id(), &trace_id()), "other")
        )
        .await,
        "started"
    );
}

#[tokio::test]
async fn a_finished_run_cannot_be_abandoned_or_cancelled() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let (run, trace) = (id(), trace_id());
    session.call("run_start", start(&run, &trace)).await;
    assert_eq!(
        outcome(&session, "run_cancel", json!({"id": run})).await,
        "requested"
    );
    let beat = session.call("run_heartbeat", json!({"id": run})).await;
    assert_eq!(
        beat,
        json!({"outcome": "ok", "cancel_requested": true, "answers": []})
    );
    session.call("run_commit", commit(&run, &trace)).await;
    assert_eq!(
        outcome(&session, "run_cancel", json!({"id": run})).await,
        "already"
    );
    assert_eq!(
        outcome(&session, "run_abandon", json!({"id": run})).await,
        "missing"
    );
    assert_eq!(
        outcome(&session, "run_heartbeat", json!({"id": run})).await,
        "lost"
    );
    let mut queued = start(&id(), &trace_id());
    queued["execution"]["mode"] = json!("queued");
    let queued = session.call("run_start", queued).await;
    assert_eq!(
        outcome(
            &session,
            "run_cancel",
            json!({"id": queued["execution"]["id"]})
        )
        .await,
        "cancelled"
    );
}

#[tokio::test]
async fn a_commit_needs_no_session_of_its_own() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let (run, trace) = (id(), trace_id());
    a.session(&db)
        .await
        .call("run_start", start(&run, &trace))
        .await;
    let bare = db.session().await;
    let act = |claims: String, role: &'static str, function: &'static str| {
        let argument = commit(&run, &trace);
        let client = bare.client();
        async move {
            client
                .query_one(
                    "SELECT nodeai.act($1, $2, $3, $4)",
                    &[&claims, &role, &function, &argument],
                )
                .await
        }
    };
    let foreign = act(b.claims(), "authenticated", "run_commit")
        .await
        .expect("an answer");
    assert_eq!(foreign.get::<_, Value>(0)["outcome"], "missing");
    let own = act(a.claims(), "authenticated", "run_commit")
        .await
        .expect("an answer");
    assert_eq!(own.get::<_, Value>(0)["outcome"], "committed");
    assert!(act(a.claims(), "postgres", "run_commit").await.is_err());
    assert!(act(a.claims(), "authenticated", "admit").await.is_err());
    let after = bare
        .client()
        .query_one(
            "SELECT current_user::text, current_setting('request.jwt.claims', true)",
            &[],
        )
        .await;
    let after = after.expect("the session is as before");
    assert_eq!(after.get::<_, String>(0), "nodeai_app");
    assert_eq!(after.get::<_, Option<String>>(1).unwrap_or_default(), "");
}

#[tokio::test]
async fn housekeeping_ends_what_a_dead_host_left() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let run = id();
    session.call("run_start", start(&run, &trace_id())).await;
    let owner = db.owner().await;
    owner
        .batch_execute(
            "UPDATE public.execution_queue SET lease_until = now() - interval '1 second'",
        )
        .await
        .expect("a lapse");
    let sql = "SELECT nodeai.act('{}', 'service_role', 'housekeeping', '{}')";
    let counts: Value = db
        .session()
        .await
        .client()
        .query_one(sql, &[])
        .await
        .expect("counts")
        .get(0);
    assert_eq!(counts["runs_abandoned"], 1, "{counts}");
    let got = session.call("run_get", json!({"id": run})).await;
    assert_eq!(got["execution"]["status"], "failed");
    assert_eq!(got["execution"]["error"]["kind"], "abandoned");
}

#[tokio::test]
async fn a_retry_takes_the_key_of_a_run_whose_host_is_gone() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let owner = db.owner().await;
    let lapse = "UPDATE public.execution_queue SET lease_until = now() - interval '1 second' WHERE status = 'running'";
    let (first, second, third) = (id(), id(), id());
    let begin = |run: &str| claimed(start(run, &trace_id()), "h");
    assert_eq!(
        outcome(&session, "run_start", begin(&first)).await,
        "started"
    );
    // While its lease holds, the first one is asked for.
    assert_eq!(
        outcome(&session, "run_start", begin(&second)).await,
        "replayed"
    );
    owner.batch_execute(lapse).await.expect("a lapse");
    let other = claimed(start(&second, &trace_id()), "another request");
    assert_eq!(outcome(&session, "run_start", other).await, "key_reused");
    assert_eq!(
        outcome(&session, "run_start", begin(&second)).await,
        "started"
    );
    let got = session.call("run_get", json!({"id": first})).await;
    assert_eq!(got["execution"]["error"]["kind"], "abandoned");
    // The late host of the first run changes nothing any more.
    assert_eq!(
        outcome(&session, "run_commit", commit(&first, &trace_id())).await,
        "already"
    );
    // Where housekeeping was faster it is the same.
    owner.batch_execute(lapse).await.expect("a lapse");
    owner
        .batch_execute("SELECT nodeai.fail_abandoned()")
        .await
        .expect("housekeeping");
    assert_eq!(
        outcome(&session, "run_start", begin(&third)).await,
        "started"
    );
    // A run that somebody cancelled is not run again.
    session.call("run_cancel", json!({"id": third})).await;
    owner.batch_execute(lapse).await.expect("a lapse");
    assert_eq!(
        outcome(&session, "run_start", begin(&id())).await,
        "replayed"
    );
}

#[tokio::test]
async fn only_the_start_of_a_run_that_is_waited_for_may_be_lost_with_the_server() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    for (mode, key, waits) in [
        ("sync", false, "off"),
        ("sync", true, "on"),
        ("stream", false, "on"),
        ("queued", false, "on"),
    ] {
        let mut request = start(&id(), &trace_id());
        request["execution"]["mode"] = json!(mode);
        if key {
            request = claimed(request, "h");
        }
        let client = session.client();
        client.batch_execute("BEGIN").await.expect("a transaction");
        assert_eq!(outcome(&session, "run_start", request).await, "started");
        let row = client
            .query_one("SELECT current_setting('synchronous_commit')", &[])
            .await
            .expect("the setting");
        assert_eq!(row.get::<_, &str>(0), waits, "{mode}, with a key: {key}");
        client.batch_execute("COMMIT").await.expect("committed");
        // It ends with its transaction: the commit of the run waits.
        let now = "SELECT (current_setting('synchronous_commit') = 'on')::int::bigint";
        assert_eq!(session.count(now).await, 1);
    }
    // What a server that died has lost is not committed half.
    let (run, trace) = (id(), trace_id());
    assert_eq!(
        outcome(&session, "run_commit", commit(&run, &trace)).await,
        "missing"
    );
    let left = format!("SELECT count(*) FROM public.spans WHERE trace_id = '{trace}'");
    assert_eq!(session.count(&left).await, 0);
}
