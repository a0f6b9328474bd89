//! Evaluations and fine-tuning jobs: what is asked is asked once, only the last lease stores anything, budgets end what they end.

use migrations_tests::{Database, Session, Tenant, command, done, id, service};
use serde_json::{Value, json};

/// A dataset of so many items: its id.
async fn dataset(session: &Session, items: usize) -> String {
    let dataset = id();
    let write = json!({"table": "eval_datasets", "op": "insert", "id": dataset, "row": {"name": dataset},
        "answer": {"status": 201, "body": {}}});
    assert_eq!(session.call("write", write).await["outcome"], "done");
    let item = |_| json!({"id": id(), "question": "q", "expected": "e", "relevant": [], "metadata": {}, "source_trace_id": null});
    let items: Vec<Value> = (0..items).map(item).collect();
    let args = json!({"dataset_id": dataset, "items": items});
    done(session, "eval_import", args).await;
    dataset
}

fn row(dataset: &str, more: &Value) -> Value {
    let mut row = json!({"dataset_id": dataset, "dataset_version": null, "name": "n",
        "target": {"definition": {"nodes": [], "edges": []}}, "metrics": ["contains", "faithfulness"],
        "settings": {"metrics": [{"metric": "contains"}, {"metric": "faithfulness"}], "concurrency": 1},
        "judge": {"model": "m"}, "budget_pusd": null});
    let map = row.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    row
}

async fn evaluation(session: &Session, dataset: &str, more: Value) -> String {
    let evaluation = id();
    let args = json!({"id": evaluation, "row": row(dataset, &more), "most": null, "answers": null});
    done(session, "evaluation_create", args).await;
    evaluation
}

async fn claim(worker: &Session) -> Value {
    let args = json!({"lease_us": 60_000_000, "tasks": 10});
    service(worker, "evaluations_claim", args).await
}

/// What a drain makes of what it was given: every target has an answer and a score, every judge a verdict.
fn worked(claimed: &Value) -> Value {
    let (mut tasks, mut results, mut judges) = (Vec::new(), Vec::new(), Vec::new());
    for ended in claimed["ended"].as_array().expect("a list") {
        let (item, step) = (&ended["item_id"], &ended["step"]);
        tasks.push(json!({"item_id": item, "step": step, "output": {"answer": "a"}, "cost_pusd": ended["run"]["cost_pusd"]}));
        if step == "target" {
            results.push(json!({"item_id": item, "metric": "contains", "score": 1.0}));
            judges.push(
                json!({"item_id": item, "metric": "faithfulness", "definition": {}, "inputs": {}}),
            );
        } else {
            results
                .push(json!({"item_id": item, "metric": step, "score": 0.5, "verdicts": {"v": 1}}));
        }
    }
    json!({"id": claimed["evaluation"]["id"], "lease_token": claimed["evaluation"]["lease_token"], "tasks": tasks,
        "results": results, "judges": judges})
}

async fn step(worker: &Session, claimed: &Value) -> Value {
    service(worker, "evaluation_step", worked(claimed)).await
}

/// All runs that are queued have ended, each at this cost.
async fn end_runs(db: &Database, cost_pusd: i64) {
    let sql = format!(
        "UPDATE public.execution_queue SET status = 'succeeded', outputs = '{{}}', started_at = now(), finished_at = now(),
           cost_pusd = {cost_pusd} WHERE finished_at IS NULL;
         UPDATE public.evaluations SET next_at = now()"
    );
    db.owner().await.batch_execute(&sql).await.expect("ended");
}

async fn tenant(db: &Database) -> (Tenant, Session, Session) {
    let tenant = db.tenant("a").await;
    let session = tenant.session(db).await;
    (tenant, session, db.session().await)
}

async fn count(db: &Database, sql: &str) -> i64 {
    let row = db.owner().await.query_one(sql, &[]).await.expect("a count");
    row.get(0)
}

const RUNS: &str = "SELECT count(*) FROM public.execution_queue";

#[tokio::test]
async fn each_item_is_asked_and_judged_once_whoever_steps() {
    let db = Database::fresh().await;
    let (me, session, worker) = tenant(&db).await;
    let dataset = dataset(&session, 3).await;
    let evaluation = evaluation(&session, &dataset, json!({})).await;
    let first = claim(&worker).await;
    assert_eq!(first["evaluation"]["id"], json!(evaluation));
    assert_eq!(
        claim(&worker).await["evaluation"],
        Value::Null,
        "it is somebody's"
    );
    assert_eq!(
        step(&worker, &first).await,
        json!({"outcome": "stepped", "open": 3})
    );
    assert_eq!(
        count(&db, RUNS).await,
        2,
        "twice as many as may run at once"
    );
    let mine = format!(
        "{RUNS} WHERE user_id = '{}' AND concurrency_limit = 1",
        me.user
    );
    assert_eq!(count(&db, &mine).await, 2);
    for round in 0.. {
        end_runs(&db, 5).await;
        let claimed = claim(&worker).await;
        let stepped = step(&worker, &claimed).await;
        assert_eq!(stepped["outcome"], "stepped", "{stepped}");
        // The same once more, as after an answer that was lost.
        assert_eq!(step(&worker, &claimed).await, stepped);
        if stepped["open"] == 0 {
            let finish = json!({"id": evaluation, "lease_token": claimed["evaluation"]["lease_token"], "summary": [],
                "scored": true});
            let ended = service(&worker, "evaluation_finish", finish.clone()).await;
            assert_eq!(ended["outcome"], "finished");
            assert_eq!(
                service(&worker, "evaluation_finish", finish).await["outcome"],
                "fenced"
            );
            break;
        }
        assert!(round < 10, "{stepped}");
    }
    assert_eq!(count(&db, RUNS).await, 6, "three targets, three judges");
    assert_eq!(
        count(&db, "SELECT count(*) FROM public.eval_results").await,
        6
    );
    let cost = "SELECT cost_pusd FROM public.evaluations WHERE status = 'succeeded'";
    assert_eq!(count(&db, cost).await, 30);
    let scores = session
        .call(
            "evaluation_scores",
            json!({"id": evaluation, "org_id": me.org}),
        )
        .await;
    assert_eq!(
        scores["scores"]["faithfulness"]
            .as_object()
            .map(serde_json::Map::len),
        Some(3)
    );
    let stranger = db.tenant("b").await.session(&db).await;
    let theirs = stranger
        .call(
            "evaluation_scores",
            json!({"id": evaluation, "org_id": me.org}),
        )
        .await;
    assert_eq!(theirs, Value::Null);
}

#[tokio::test]
async fn a_lost_lease_stores_nothing() {
    let db = Database::fresh().await;
    let (_, session, worker) = tenant(&db).await;
    let dataset = dataset(&session, 1).await;
    evaluation(&session, &dataset, json!({})).await;
    step(&worker, &claim(&worker).await).await;
    end_runs(&db, 0).await;
    let slow = claim(&worker).await;
    let expire = "UPDATE public.evaluations SET lease_until = now() - interval '1 second'";
    db.owner()
        .await
        .batch_execute(expire)
        .await
        .expect("expired");
    let fast = claim(&worker).await;
    assert_eq!(step(&worker, &slow).await["outcome"], "fenced");
    assert_eq!(
        count(&db, "SELECT count(*) FROM public.eval_results").await,
        0
    );
    assert_eq!(step(&worker, &fast).await["outcome"], "stepped");
    assert_eq!(
        count(&db, "SELECT count(*) FROM public.eval_results").await,
        1
    );
}

#[tokio::test]
async fn a_spent_budget_and_a_lost_owner_end_it() {
    let db = Database::fresh().await;
    let (me, session, worker) = tenant(&db).await;
    let dataset = dataset(&session, 4).await;
    let evaluation = evaluation(&session, &dataset, json!({"budget_pusd": 10})).await;
    step(&worker, &claim(&worker).await).await;
    end_runs(&db, 5).await;
    // Both runs have spent it: their judges and the other two items are not asked.
    let claimed = claim(&worker).await;
    assert_eq!(
        step(&worker, &claimed).await,
        json!({"outcome": "stepped", "open": 0})
    );
    assert_eq!(count(&db, RUNS).await, 2);
    let unasked =
        "SELECT count(*) FROM public.eval_results WHERE score IS NULL AND reason LIKE '%budget%'";
    assert_eq!(count(&db, unasked).await, 6);
    let finish = json!({"id": evaluation, "lease_token": claimed["evaluation"]["lease_token"], "summary": [], "scored": true});
    service(&worker, "evaluation_finish", finish).await;
    let failed = "SELECT count(*) FROM public.evaluations WHERE status = 'failed' AND error ->> 'kind' = 'budget'";
    assert_eq!(count(&db, failed).await, 1);
    self::evaluation(&session, &dataset, json!({})).await;
    let claimed = claim(&worker).await;
    let revoke = format!(
        "UPDATE public.api_keys SET revoked_at = now() WHERE id = '{}'",
        me.key
    );
    db.owner()
        .await
        .batch_execute(&revoke)
        .await
        .expect("revoked");
    assert_eq!(step(&worker, &claimed).await["outcome"], "ended");
    let gone = "SELECT count(*) FROM public.evaluations WHERE error ->> 'kind' = 'owner_gone'";
    assert_eq!(count(&db, gone).await, 1);
    let noted = "SELECT count(*) FROM public.audit_logs WHERE action = 'evaluation.refused'";
    assert_eq!(count(&db, noted).await, 1);
}

#[tokio::test]
async fn a_cancelled_evaluation_takes_its_runs_with_it() {
    let db = Database::fresh().await;
    let (_, session, worker) = tenant(&db).await;
    let dataset = dataset(&session, 2).await;
    let evaluation = evaluation(&session, &dataset, json!({})).await;
    let claimed = claim(&worker).await;
    step(&worker, &claimed).await;
    done(&session, "evaluation_cancel", json!({"id": evaluation})).await;
    assert_eq!(
        count(&db, &format!("{RUNS} WHERE status = 'cancelled'")).await,
        2
    );
    assert_eq!(step(&worker, &claimed).await["outcome"], "fenced");
    let again = command(&session, "evaluation_cancel", json!({"id": evaluation})).await;
    assert_eq!(again["outcome"], "refused");
    done(&session, "evaluation_remove", json!({"id": evaluation})).await;
    assert_eq!(
        count(&db, "SELECT count(*) FROM public.eval_tasks").await,
        0
    );
}

#[tokio::test]
async fn a_fine_tuning_job_is_made_once_and_its_end_is_final() {
    let db = Database::fresh().await;
    let (me, session, worker) = tenant(&db).await;
    let job = id();
    let row = |hash: &str| {
        json!({"provider": "openai", "base_model": "m", "settings": {}, "examples": 16, "validation_examples": 4, "tokens": 9,
            "request_key": "k", "request_hash": hash})
    };
    done(
        &session,
        "finetune_create",
        json!({"id": job, "row": row("h")}),
    )
    .await;
    let args = json!({"id": id(), "row": row("h")});
    let again = command(&session, "finetune_create", args).await;
    assert_eq!(again["outcome"], "refused", "{again}");
    let seen = |more: Value| {
        let mut said = json!({"id": job, "org_id": me.org, "provider_job_id": "p"});
        let map = said.as_object_mut().expect("an object");
        map.extend(more.as_object().expect("an object").clone());
        said
    };
    let running = service(&worker, "finetune_seen", seen(json!({"status": "running"}))).await;
    assert_eq!(running["status"], "running");
    let removed = command(&session, "finetune_remove", json!({"id": job})).await;
    assert_eq!(removed["outcome"], "refused", "it is at work");
    let ended = seen(json!({"status": "succeeded", "result_model": "ft"}));
    assert_eq!(
        service(&worker, "finetune_seen", ended).await["result_model"],
        "ft"
    );
    let late = service(&worker, "finetune_seen", seen(json!({"status": "running"}))).await;
    assert_eq!(late["status"], "succeeded");
    done(&session, "finetune_remove", json!({"id": job})).await;
}
