//! Hosts of versions and their confirmation; what runs are held to; error workflows of runs that could not run their own.

use migrations_tests::{Database, Session, command, id};
use serde_json::{Value, json};
use uuid::Uuid;

async fn save(session: &Session, op: &str, workflow: &str, definition: &Value, egress: Value) {
    let request = json!({"table": "workflows", "op": op, "id": workflow, "row": {"name": "w", "definition": definition},
        "children": [{"table": "workflow_versions", "row": {"workflow_id": workflow, "egress": egress}}]});
    assert_eq!(session.call("write", request).await["outcome"], "done");
}

fn names(hosts: &[&str]) -> Value {
    json!({"declared": null, "hosts": hosts, "open": []})
}

fn confirmation(workflow: &str, number: i64) -> Value {
    json!({"id": workflow, "number": number, "hosts": ["a.example"], "egress": names(&[])})
}

async fn start(session: &Session, target: Value) -> Value {
    let mut execution =
        json!({"id": id(), "trace_id": Uuid::new_v4().simple().to_string(), "inputs": {}});
    let members = execution.as_object_mut().unwrap();
    members.extend(target.as_object().unwrap().clone());
    let started = session.call("run_start", json!({"execution": execution}));
    let started = started.await;
    assert_eq!(started["outcome"], "started", "{started}");
    started
}

#[tokio::test]
async fn a_confirmation_stays_with_its_document() {
    let db = Database::fresh().await;
    let (a, b) = (db.tenant("a").await, db.tenant("b").await);
    let (own, other) = (a.session(&db).await, b.session(&db).await);
    let (workflow, first) = (id(), json!({"nodes": [1]}));
    save(&own, "insert", &workflow, &first, names(&["a.example"])).await;
    let refused = command(&other, "confirm_egress", confirmation(&workflow, 1)).await;
    assert_eq!(refused["outcome"], "missing", "{refused}");
    let done = command(&own, "confirm_egress", confirmation(&workflow, 1)).await;
    assert_eq!(done["outcome"], "done", "{done}");
    save(
        &own,
        "update",
        &workflow,
        &json!({"nodes": [2]}),
        Value::Null,
    )
    .await;
    save(&own, "update", &workflow, &first, Value::Null).await;
    let held = |version: i64| json!({"workflow_id": workflow, "version": version});
    let confirmed = json!({"hosts": ["a.example"], "confirmed": ["a.example"]});
    for (version, egress) in [(1, &confirmed), (2, &Value::Null), (3, &confirmed)] {
        let started = start(&own, held(version)).await;
        assert_eq!(&started["workflow"]["egress"], egress, "{version}");
        assert_eq!(started["policy"]["egress"], "any");
    }
    // Nobody writes a confirmation beside it.
    let direct = format!(
        "UPDATE public.workflow_versions SET confirmed_egress = '{{*}}' WHERE workflow_id = '{workflow}'"
    );
    assert!(own.touch(&direct).await.is_err());
}

#[tokio::test]
async fn policies_are_changed_by_admins() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let strict = json!({"egress": "confirmed", "max_depth": 50});
    let done = command(&a, "run_policies", strict.clone()).await;
    assert_eq!(done["outcome"], "done", "{done}");
    assert_eq!(start(&a, json!({"definition": {}})).await["policy"], strict);
    let deeper = json!({"egress": "any", "max_depth": 51});
    let refused = command(&a, "run_policies", deeper).await;
    assert_ne!(refused["outcome"], "done", "{refused}");
    assert_eq!(a.call("run_policies", json!({})).await, strict);
}

/// A queued run whose one host was lost with it, and its error workflow.
async fn lost(session: &Session) -> (String, String) {
    let (handler, workflow) = (id(), id());
    save(session, "insert", &handler, &json!({}), Value::Null).await;
    let guarded = json!({"settings": {"error_workflow": {"workflow_id": handler, "version": 1}}});
    save(session, "insert", &workflow, &guarded, Value::Null).await;
    let target = json!({"workflow_id": workflow, "mode": "queued", "max_losses": 1});
    let run = start(session, target).await["execution"]["id"].clone();
    (run.as_str().unwrap().to_owned(), handler)
}

async fn claim(worker: &Session, run: &str) -> Value {
    let ask = json!({"execution_id": run, "lease_us": 1});
    let sql = "SELECT c.answer::text FROM nodeai.queue_claim(($1::text)::jsonb) c";
    let row = worker.client().query_one(sql, &[&ask.to_string()]).await;
    serde_json::from_str(row.unwrap().get::<_, &str>(0)).unwrap()
}

async fn handlers(session: &Session, run: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM public.execution_queue WHERE error_of = '{run}'");
    session.count(&sql).await
}

#[tokio::test]
async fn a_dead_letter_leaves_its_error_workflow_once() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let worker = db.session().await;
    let (run, handler) = lost(&a).await;
    for _ in 0..2 {
        assert_eq!(claim(&worker, &run).await["outcome"], "claimed");
        claim(&worker, &run).await;
        let got = a.call("run_get", json!({"id": run})).await;
        assert_eq!(got["execution"]["error"]["kind"], "dead_letter", "{got}");
        assert_eq!(handlers(&a, &run).await, 1);
        let again = a.call("run_requeue", json!({"id": run})).await;
        assert_eq!(again["outcome"], "requeued");
    }
    let of_handler = format!(
        "SELECT count(*) FROM public.execution_queue WHERE error_of = '{run}' AND workflow_id = '{handler}'
         AND status = 'queued' AND inputs ->> 'execution_id' = '{run}' AND inputs ->> 'workflow' = 'w'
         AND inputs #>> '{{error,kind}}' = 'dead_letter'"
    );
    assert_eq!(a.count(&of_handler).await, 1);
}

#[tokio::test]
async fn an_error_workflow_that_has_begun_or_is_one_itself_leaves_none() {
    let db = Database::fresh().await;
    let a = db.tenant("a").await.session(&db).await;
    let owner = db.owner().await;
    // Strings of a log may hold what jsonb does not take.
    let text = r#""a \u0000 b \\u0000 c \\\u0000""#;
    for (events, expected) in [
        (
            format!(r#"[{{"event":"x","s":{text},"o":{{"event":"error_workflow_started"}}}}]"#),
            1,
        ),
        (
            format!(r#"[{{"event":"x","s":{text}}},{{"event":"error_workflow_started"}}]"#),
            0,
        ),
    ] {
        let (run, _) = lost(&a).await;
        let segment = format!(
            "INSERT INTO public.run_log_segments (org_id, execution_id, first_seq, last_seq, events)
             SELECT q.org_id, q.id, 0, 1, jsonb_build_array($1::text) FROM public.execution_queue q WHERE q.id = '{run}'"
        );
        owner.execute(&segment, &[&events]).await.unwrap();
        let fail = |run: &str| {
            format!(
                "UPDATE public.execution_queue SET status = 'failed', finished_at = now(),
                 error = '{{\"kind\":\"cannot_run\",\"message\":\"m\"}}' WHERE {run}"
            )
        };
        let of_run = format!("id = '{run}'");
        owner.execute(&fail(&of_run), &[]).await.unwrap();
        assert_eq!(handlers(&a, &run).await, expected, "{events}");
        let all = "SELECT count(*) FROM public.execution_queue";
        let before = a.count(all).await;
        let of_handler = format!("error_of = '{run}'");
        owner.execute(&fail(&of_handler), &[]).await.unwrap();
        assert_eq!(a.count(all).await, before);
    }
}
