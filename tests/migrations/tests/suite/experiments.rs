//! Experiments: a batch is asked once, only the last lease stores anything, what has won is applied to a base that has not changed.

use migrations_tests::{Database, Session, Tenant, command, done, id, service};
use serde_json::{Value, json};

async fn refused(session: &Session, name: &str, args: Value) {
    let made = command(session, name, args).await;
    assert_eq!(made["outcome"], "refused", "{name}: {made}");
}

struct World {
    db: Database,
    me: Tenant,
    session: Session,
    worker: Session,
    base: String,
    experiment: String,
}

/// An experiment over so many questions.
async fn world(questions: usize, budget: Value) -> World {
    let db = Database::fresh().await;
    let me = db.tenant("a").await;
    let session = me.session(&db).await;
    let (base, dataset, experiment) = (id(), id(), id());
    let settings = json!({"lexical": {"analyser": "none"}, "embedding": {"model": "builtin/hash"},
        "search": {"k1": 1.2, "b": 0.75}});
    let args = json!({"id": base, "name": "k", "settings": settings});
    done(&session, "knowledge_create", args).await;
    let write = json!({"table": "eval_datasets", "op": "insert", "id": dataset, "row": {"name": "d"},
        "answer": {"status": 201, "body": {}}});
    assert_eq!(session.call("write", write).await["outcome"], "done");
    let item = |relevant: Value| json!({"id": id(), "question": "q", "expected": null, "relevant": relevant, "metadata": {}, "source_trace_id": null});
    let mut items: Vec<Value> = (0..questions).map(|_| item(json!(["d1"]))).collect();
    items.extend([item(json!([])), item(json!([]))]);
    let args = json!({"dataset_id": dataset, "items": items});
    done(&session, "eval_import", args).await;
    let row = json!({"knowledge_base_id": base, "dataset_id": dataset, "dataset_version": null, "name": "n",
        "search_space": {}, "baseline": null, "metric": "mrr", "seed": 1, "budget": budget, "depth": 50});
    let args = json!({"id": experiment, "row": row, "most": 500, "needs_vectors": true});
    done(&session, "experiment_create", args).await;
    let worker = db.session().await;
    World {
        db,
        me,
        session,
        worker,
        base,
        experiment,
    }
}

impl World {
    async fn claim(&self) -> Value {
        service(
            &self.worker,
            "experiments_claim",
            json!({"lease_us": 60_000_000}),
        )
        .await
    }

    /// What a drain makes of what it was given.
    async fn step(&self, claimed: &Value) -> Value {
        let ended = claimed["ended"].as_array().expect("a list").iter();
        let ended = ended.map(|batch| {
            let items = batch["items"].as_array().expect("items").iter();
            let questions = items.map(|item| json!({"item_id": item, "lists": {"documents": []}}));
            json!({"batch": batch["batch"], "cost_pusd": batch["run"]["cost_pusd"], "questions": questions.collect::<Vec<_>>()})
        });
        let runs = claimed["waiting"].as_array().expect("a list").iter();
        let runs = runs.map(|batch| json!({"batch": batch["batch"], "definition": {"nodes": [], "edges": []}, "inputs": {}}));
        let args = json!({"id": self.experiment, "lease_token": claimed["experiment"]["lease_token"],
            "ended": ended.collect::<Vec<_>>(), "runs": runs.collect::<Vec<_>>()});
        service(&self.worker, "experiment_step", args).await
    }

    /// All runs that are queued have ended, each at this cost.
    async fn end_runs(&self, cost_pusd: i64) {
        let sql = format!(
            "UPDATE public.execution_queue SET status = 'succeeded', outputs = '{{}}', started_at = now(), finished_at = now(),
               cost_pusd = {cost_pusd} WHERE finished_at IS NULL;
             UPDATE public.experiments SET next_at = now()"
        );
        self.own(&sql).await;
    }

    async fn own(&self, sql: &str) {
        let owner = self.db.owner().await;
        owner.batch_execute(sql).await.expect("done");
    }

    async fn count(&self, sql: &str) -> i64 {
        let owner = self.db.owner().await;
        let row = owner.query_one(sql, &[]).await.expect("a count");
        row.get(0)
    }

    async fn finish(&self, token: &Value) -> Value {
        let trial = json!({"number": 1, "settings": {"mode": "lexical", "k": 5}, "scores": {"mean": 1.0, "questions": 3},
            "latency_us": null, "cost_pusd": 0});
        let args = json!({"id": self.experiment, "lease_token": token, "trials": [trial], "error": null,
            "outcome": {"winner": 1, "settings": {"mode": "lexical", "k": 5}}});
        service(&self.worker, "experiment_finish", args).await
    }
}

const RUNS: &str = "SELECT count(*) FROM public.execution_queue";

#[tokio::test]
async fn each_batch_is_asked_once_and_the_winner_is_applied_once() {
    let w = world(30, json!({})).await;
    let first = w.claim().await;
    assert_eq!(
        first["waiting"].as_array().map(Vec::len),
        Some(2),
        "{first}"
    );
    assert_eq!(
        w.claim().await["experiment"],
        Value::Null,
        "it is somebody's"
    );
    let stepped = json!({"outcome": "stepped", "open": 30});
    assert_eq!(w.step(&first).await, stepped);
    assert_eq!(w.step(&first).await, stepped);
    let mine = format!(
        "{RUNS} WHERE user_id = '{}' AND concurrency_limit = 2",
        w.me.user
    );
    assert_eq!(w.count(&mine).await, 2);
    w.end_runs(5).await;
    let last = w.claim().await;
    let stepped = json!({"outcome": "stepped", "open": 0});
    assert_eq!(w.step(&last).await, stepped);
    // The same once more, as after an answer that was lost: it costs once.
    assert_eq!(w.step(&last).await, stepped);
    let cost = "SELECT cost_pusd FROM public.experiments";
    assert_eq!(w.count(cost).await, 10);
    assert_eq!(
        w.claim().await["experiment"],
        Value::Null,
        "whoever has all lists keeps the lease"
    );
    let token = &last["experiment"]["lease_token"];
    assert_eq!(w.finish(token).await["outcome"], "finished");
    assert_eq!(w.finish(token).await["outcome"], "fenced");
    let me = json!({"id": w.experiment});
    done(&w.session, "experiment_apply", me.clone()).await;
    refused(&w.session, "experiment_apply", me.clone()).await;
    done(&w.session, "experiment_rollback", me.clone()).await;
    refused(&w.session, "experiment_rollback", me.clone()).await;
    let restored = "SELECT count(*) FROM public.knowledge_bases WHERE settings -> 'search' = '{\"k1\":1.2,\"b\":0.75}'";
    assert_eq!(w.count(restored).await, 1);
    let change = json!({"id": w.base, "row": {}, "search": {"k1": 2, "b": 0.5}});
    done(&w.session, "knowledge_update", change).await;
    refused(&w.session, "experiment_apply", me).await;
}

#[tokio::test]
async fn a_lost_lease_stores_nothing() {
    let w = world(1, json!({})).await;
    let first = w.claim().await;
    w.step(&first).await;
    w.end_runs(0).await;
    let slow = w.claim().await;
    w.own("UPDATE public.experiments SET lease_until = now() - interval '1 second'")
        .await;
    let fast = w.claim().await;
    assert_eq!(w.step(&slow).await["outcome"], "fenced");
    let stored = "SELECT count(*) FROM public.experiment_questions WHERE lists IS NOT NULL";
    assert_eq!(w.count(stored).await, 0);
    assert_eq!(w.step(&fast).await["outcome"], "stepped");
    assert_eq!(w.count(stored).await, 1);
    let token = &slow["experiment"]["lease_token"];
    assert_eq!(w.finish(token).await["outcome"], "fenced");
    let trials = "SELECT count(*) FROM public.experiment_trials";
    assert_eq!(w.count(trials).await, 0);
}

#[tokio::test]
async fn a_spent_budget_a_lost_owner_and_a_cancellation_end_it() {
    let w = world(200, json!({"usd": 0.000001})).await;
    let first = w.claim().await;
    w.step(&first).await;
    w.end_runs(1_000_000).await;
    let claimed = w.claim().await;
    assert_eq!(w.step(&claimed).await["outcome"], "ended");
    let failed = "SELECT count(*) FROM public.experiments WHERE status = 'failed' AND error ->> 'kind' = 'budget'";
    assert_eq!(w.count(failed).await, 1);

    let w = world(1, json!({})).await;
    let claimed = w.claim().await;
    let revoke = format!(
        "UPDATE public.api_keys SET revoked_at = now() WHERE id = '{}'",
        w.me.key
    );
    w.own(&revoke).await;
    assert_eq!(w.step(&claimed).await["outcome"], "ended");
    let noted = "SELECT count(*) FROM public.audit_logs WHERE action = 'experiment.refused'";
    assert_eq!(w.count(noted).await, 1);
    assert_eq!(w.count(RUNS).await, 0);

    let w = world(1, json!({})).await;
    let claimed = w.claim().await;
    w.step(&claimed).await;
    let me = json!({"id": w.experiment});
    refused(&w.session, "experiment_remove", me.clone()).await;
    done(&w.session, "experiment_cancel", me.clone()).await;
    let cancelled = format!("{RUNS} WHERE status = 'cancelled'");
    assert_eq!(w.count(&cancelled).await, 1);
    assert_eq!(w.step(&claimed).await["outcome"], "fenced");
    done(&w.session, "experiment_remove", me).await;
    let left = "SELECT count(*) FROM public.experiment_questions";
    assert_eq!(w.count(left).await, 0);
}

#[tokio::test]
async fn what_it_comes_to_is_not_for_callers_to_say() {
    let w = world(1, json!({})).await;
    for sql in [
        "UPDATE public.experiments SET outcome = '{\"winner\": 1}'",
        "INSERT INTO public.experiment_trials (org_id, experiment_id, number, settings) SELECT org_id, id, 1, '{}' FROM public.experiments",
        "UPDATE public.experiment_questions SET lists = '{}'",
    ] {
        assert!(w.session.touch(sql).await.is_err(), "{sql}");
    }
    let args = json!({"id": w.experiment, "org_id": w.me.org, "limit": 10});
    let stranger = w.db.tenant("b").await.session(&w.db).await;
    assert_eq!(
        stranger.call("experiment_tried", args.clone()).await,
        Value::Null
    );
    assert_eq!(
        w.session.call("experiment_tried", args).await,
        json!({"trials": []})
    );
}
