//! Studies: evaluations are made once, only the last lease stores anything, what has won is applied to a workflow that has not changed, and
//! the next study begins over what production has asked.

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
    workflow: String,
    dataset: String,
    study: String,
}

fn document(model: &str) -> Value {
    json!({"nodes": [{"id": "ask", "type": "llm", "data": {"model": model}}], "edges": []})
}

/// A study of two trials over so many questions.
async fn world(questions: usize, more: Value) -> World {
    let db = Database::fresh().await;
    let me = db.tenant("a").await;
    let session = me.session(&db).await;
    let (workflow, dataset, study) = (id(), id(), id());
    let insert = |table: &str, id: &str, row: Value, children: Value| {
        json!({"table": table, "op": "insert", "id": id, "row": row, "children": children,
            "answer": {"status": 201, "body": {}}})
    };
    let version = json!([{"table": "workflow_versions", "row": {"workflow_id": workflow, "author": me.user}}]);
    let row = json!({"name": "w", "definition": document("a")});
    let made = session
        .call("write", insert("workflows", &workflow, row, version))
        .await;
    assert_eq!(made["outcome"], "done", "{made}");
    let made = session
        .call(
            "write",
            insert("eval_datasets", &dataset, json!({"name": "d"}), json!([])),
        )
        .await;
    assert_eq!(made["outcome"], "done", "{made}");
    let item = |_| json!({"id": id(), "question": "q", "expected": "e", "relevant": [], "metadata": {}, "source_trace_id": null});
    let items: Vec<Value> = (0..questions).map(item).collect();
    done(
        &session,
        "eval_import",
        json!({"dataset_id": dataset, "items": items}),
    )
    .await;
    let mut row = json!({"name": "n", "workflow_id": workflow, "workflow_version": 1, "definition": document("a"),
        "dataset_id": dataset, "dataset_version": null, "parameters": [{"node": "ask", "path": "/model", "values": ["a", "b"]}],
        "target": {}, "settings": {"concurrency": 2}, "judge": null, "budget": {}, "seed": 1, "retune": null});
    row.as_object_mut()
        .expect("a row")
        .extend(more.as_object().expect("more").clone());
    let trials = json!([{"ask/model": "a"}, {"ask/model": "b"}]);
    done(
        &session,
        "study_create",
        json!({"id": study, "row": row, "most": 100, "trials": trials}),
    )
    .await;
    let worker = db.session().await;
    World {
        db,
        me,
        session,
        worker,
        workflow,
        dataset,
        study,
    }
}

impl World {
    async fn claim(&self) -> Value {
        service(
            &self.worker,
            "studies_claim",
            json!({"lease_us": 60_000_000}),
        )
        .await
    }

    async fn step(&self, token: &Value, trials: &[i64]) -> Value {
        let ask = |trial: &i64| {
            json!({"trial": trial, "part": "search", "questions": [1, 0], "name": "n", "target": {"definition": document("b")},
            "metrics": ["exact_match", "latency_ms", "cost_usd"], "settings": {"concurrency": 2}, "judge": null})
        };
        let asks: Vec<Value> = trials.iter().map(ask).collect();
        let args = json!({"id": self.study, "lease_token": token, "asks": asks});
        service(&self.worker, "study_step", args).await
    }

    async fn finish(&self, token: &Value) -> Value {
        let trial = |number, rank| json!({"number": number, "rank": rank, "scores": {"mean": 1.0, "questions": 2}, "latency_us": 5, "cost_pusd": 7});
        let args = json!({"id": self.study, "lease_token": token, "trials": [trial(1, 2), trial(2, 1)], "error": null,
            "definition": document("b"), "outcome": {"winner": 2, "settings": {"ask/model": "b"}}});
        service(&self.worker, "study_finish", args).await
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

    /// All evaluations have ended: of each, the first question has a score, the second none, and has cost something.
    async fn end_evaluations(&self, kind: &str) {
        let error = match kind {
            "" => "NULL".to_owned(),
            kind => format!("'{{\"kind\": \"{kind}\", \"message\": \"m\"}}'"),
        };
        let status = if kind.is_empty() {
            "succeeded"
        } else {
            "failed"
        };
        self.own(&format!(
            "UPDATE public.evaluations SET status = '{status}', error = {error}, cost_pusd = 500000, finished_at = now();
             INSERT INTO public.eval_results (org_id, evaluation_id, item_id, metric, score, reason)
               SELECT e.org_id, e.id, s.items[q.n + 1], m, CASE WHEN m <> 'exact_match' THEN 2 WHEN q.n = 0 THEN 0.5 END,
                 CASE WHEN m = 'exact_match' AND q.n <> 0 THEN 'r' END
               FROM public.evaluations e JOIN public.studies s ON s.id = e.study_id, unnest(e.study_questions) q(n), unnest(e.metrics) m;
             UPDATE public.studies SET next_at = now() WHERE next_at IS NOT NULL"
        ))
        .await;
    }

    /// The study has ended well.
    async fn succeed(&self) {
        let first = self.claim().await;
        let token = &first["study"]["lease_token"];
        assert_eq!(self.finish(token).await["outcome"], "finished");
    }
}

const EVALUATIONS: &str = "SELECT count(*) FROM public.evaluations";

#[tokio::test]
async fn evaluations_are_made_once_and_the_winner_is_applied_once() {
    let w = world(3, json!({})).await;
    let first = w.claim().await;
    assert_eq!(
        (&first["study"]["questions"], &first["evaluated"]),
        (&json!(3), &json!([])),
        "{first}"
    );
    assert_eq!(w.claim().await["study"], Value::Null, "it is somebody's");
    let token = &first["study"]["lease_token"];
    assert_eq!(w.step(token, &[1, 2]).await["outcome"], "stepped");
    let tasks =
        "SELECT count(*) FROM public.eval_tasks WHERE step = 'target' AND state = 'pending'";
    assert_eq!((w.count(EVALUATIONS).await, w.count(tasks).await), (2, 4));
    w.own("UPDATE public.studies SET next_at = now()").await;
    assert_eq!(
        w.claim().await["study"],
        Value::Null,
        "its evaluations are at work"
    );
    w.end_evaluations("").await;
    let last = w.claim().await;
    let evaluated = &last["evaluated"][0];
    assert_eq!(
        (
            &evaluated["trial"],
            &evaluated["questions"],
            &evaluated["scores"],
            &evaluated["unjudged"]
        ),
        (&json!(1), &json!([1, 0]), &json!([[0, 0.5]]), &json!([])),
        "{last}"
    );
    assert_eq!(
        (&evaluated["latency_ms"], &evaluated["cost_usd"]),
        (&json!(2), &json!(2))
    );
    let token = &last["study"]["lease_token"];
    assert_eq!(w.finish(token).await["outcome"], "finished");
    assert_eq!(w.finish(token).await["outcome"], "fenced");
    assert_eq!(
        w.count("SELECT cost_pusd FROM public.studies").await,
        1_000_000
    );
    let tried = w
        .session
        .call("study_tried", json!({"id": w.study, "limit": 10}))
        .await;
    assert_eq!(tried["trials"][0]["number"], 2, "{tried}");
    let me = json!({"id": w.study});
    refused(&w.session, "study_cancel", me.clone()).await;
    done(&w.session, "study_apply", me.clone()).await;
    refused(&w.session, "study_apply", me.clone()).await;
    let model = "SELECT count(*) FROM public.workflows w JOIN public.workflow_versions v ON v.workflow_id = w.id AND v.number = w.version
        WHERE w.version = 2 AND w.definition #>> '{nodes,0,data,model}' = 'b' AND v.message = 'Parameters of the study n'";
    assert_eq!(w.count(model).await, 1);
    done(&w.session, "study_rollback", me.clone()).await;
    refused(&w.session, "study_rollback", me.clone()).await;
    done(&w.session, "study_apply", me.clone()).await;
    let change = json!({"id": w.workflow, "row": {"name": "other"}, "children": [{"table": "workflow_versions", "row": {"workflow_id": w.workflow}}]});
    done(&w.session, "save_workflow", change).await;
    refused(&w.session, "study_rollback", me.clone()).await;
    done(&w.session, "study_remove", me).await;
    assert_eq!(w.count(EVALUATIONS).await, 0);
}

#[tokio::test]
async fn what_a_judge_did_not_say_is_told_apart_from_what_did_not_come() {
    let w = world(2, json!({})).await;
    let first = w.claim().await;
    w.step(&first["study"]["lease_token"], &[1]).await;
    w.own(
        "INSERT INTO public.eval_tasks (org_id, evaluation_id, item_id, step, state)
           SELECT e.org_id, e.id, s.items[2], 'exact_match', 'done' FROM public.evaluations e JOIN public.studies s ON s.id = e.study_id",
    )
    .await;
    w.end_evaluations("").await;
    let claimed = w.claim().await;
    assert_eq!(claimed["evaluated"][0]["unjudged"], json!([1]), "{claimed}");
}

#[tokio::test]
async fn a_lost_lease_stores_nothing() {
    let w = world(2, json!({})).await;
    let slow = w.claim().await;
    w.own("UPDATE public.studies SET lease_until = now() - interval '1 second'")
        .await;
    let fast = w.claim().await;
    assert_eq!(
        w.step(&slow["study"]["lease_token"], &[1]).await["outcome"],
        "fenced"
    );
    assert_eq!(
        w.finish(&slow["study"]["lease_token"]).await["outcome"],
        "fenced"
    );
    assert_eq!(w.count(EVALUATIONS).await, 0);
    assert_eq!(
        w.step(&fast["study"]["lease_token"], &[1]).await["outcome"],
        "stepped"
    );
}

#[tokio::test]
async fn a_spent_budget_a_lost_owner_and_what_was_ended_end_it() {
    // A budget that is spent while evaluations are at work ends them.
    let w = world(2, json!({"budget": {"usd": 0.000001}})).await;
    let first = w.claim().await;
    w.step(&first["study"]["lease_token"], &[1, 2]).await;
    w.own("UPDATE public.evaluations SET cost_pusd = 500000; UPDATE public.studies SET next_at = now()").await;
    let over = w.claim().await;
    assert_eq!(
        w.step(&over["study"]["lease_token"], &[]).await["outcome"],
        "ended"
    );
    let failed = |kind: &str| {
        format!(
            "SELECT count(*) FROM public.studies WHERE status = 'failed' AND error ->> 'kind' = '{kind}'"
        )
    };
    assert_eq!(w.count(&failed("budget")).await, 1);
    assert_eq!(
        w.count(&format!("{EVALUATIONS} WHERE status = 'cancelled'"))
            .await,
        2
    );

    let w = world(2, json!({})).await;
    let claimed = w.claim().await;
    w.own(&format!(
        "UPDATE public.api_keys SET revoked_at = now() WHERE id = '{}'",
        w.me.key
    ))
    .await;
    assert_eq!(
        w.step(&claimed["study"]["lease_token"], &[1]).await["outcome"],
        "ended"
    );
    assert_eq!(
        w.count("SELECT count(*) FROM public.audit_logs WHERE action = 'study.refused'")
            .await,
        1
    );
    assert_eq!(w.count(EVALUATIONS).await, 0);

    // Of one in which nothing has a score the study makes something; one that was ended says nothing.
    for (kind, outcome) in [
        ("nothing_scored", "finished"),
        ("forbidden", "ended"),
        ("budget", "ended"),
    ] {
        let w = world(2, json!({})).await;
        let first = w.claim().await;
        w.step(&first["study"]["lease_token"], &[1]).await;
        w.end_evaluations(kind).await;
        let claimed = w.claim().await;
        assert_eq!(
            w.finish(&claimed["study"]["lease_token"]).await["outcome"],
            outcome,
            "{kind}"
        );
    }

    let w = world(2, json!({})).await;
    let claimed = w.claim().await;
    w.step(&claimed["study"]["lease_token"], &[1, 2]).await;
    let me = json!({"id": w.study});
    refused(&w.session, "study_remove", me.clone()).await;
    done(&w.session, "study_cancel", me.clone()).await;
    assert_eq!(
        w.count(&format!("{EVALUATIONS} WHERE status = 'cancelled'"))
            .await,
        2
    );
    assert_eq!(
        w.step(&claimed["study"]["lease_token"], &[1]).await["outcome"],
        "fenced"
    );
}

/// So many traces of the workflow, each with a question; what one more of them asked was asked by an evaluation.
async fn asked_in_production(w: &World, n: usize) {
    w.own(&format!(
        "INSERT INTO public.execution_queue (id, org_id, trace_id, status, concurrency_key)
           SELECT nodeai.uuid_v7(), '{org}', lpad('1', 32, '0'), 'succeeded', 'evaluation/x'
           WHERE NOT EXISTS (SELECT FROM public.execution_queue);
         INSERT INTO public.traces (org_id, trace_id, day, kind, name, status, started_at, duration_us, workflow_id, rooted, execution_id)
           SELECT '{org}', lpad(to_hex(n), 32, '0'), (now() AT TIME ZONE 'UTC')::date, 'run', 'w', 'ok', now(), 1, '{workflow}', true,
             CASE WHEN n = 1 THEN (SELECT q.id FROM public.execution_queue q) END
           FROM generate_series(1, {n} + 1) n;
         INSERT INTO public.spans (org_id, trace_id, span_id, day, name, status, started_at, duration_us, attributes)
           SELECT t.org_id, t.trace_id, right(t.trace_id, 16), t.day, 'w', 'ok', t.started_at, 1,
             jsonb_build_object('nodeai.input', jsonb_build_object('question', 'asked ' || t.trace_id))
           FROM public.traces t",
        org = w.me.org,
        workflow = w.workflow
    ))
    .await;
}

#[tokio::test]
async fn the_next_study_begins_over_what_production_has_asked() {
    let retune = json!({"retune": {"days": 7, "most": 50, "question": "/question", "expected": null, "apply": true}});
    let w = world(2, retune).await;
    w.succeed().await;
    // A gain is applied by itself.
    let applied = "SELECT count(*) FROM public.workflows WHERE version = 2 AND definition #>> '{nodes,0,data,model}' = 'b'";
    assert_eq!(w.count(applied).await, 1);
    assert_eq!(
        w.claim().await["repeat"],
        Value::Null,
        "seven days have not gone by"
    );
    w.own("UPDATE public.studies SET next_at = now()").await;
    let again = w.claim().await;
    let repeat = &again["repeat"];
    assert_eq!(
        (&repeat["workflow_version"], &repeat["definition"]),
        (&json!(2), &document("b")),
        "{again}"
    );
    let args = |token: &Value| {
        json!({"id": w.study, "lease_token": token, "definition": repeat["definition"], "workflow_version": 2,
        "trials": [{"ask/model": "b"}, {"ask/model": "a"}], "question": ["question"], "expected": null, "error": null})
    };
    asked_in_production(&w, 19).await;
    let few = service(&w.worker, "study_repeat", args(&repeat["lease_token"])).await;
    assert_eq!(few["outcome"], "stepped");
    assert_eq!(
        w.count("SELECT count(*) FROM public.studies WHERE next_at > now() + interval '20 hours'")
            .await,
        1
    );
    w.own(&format!("DELETE FROM public.spans; DELETE FROM public.traces; DELETE FROM public.eval_items WHERE dataset_id = '{}' AND source_trace_id IS NOT NULL; UPDATE public.studies SET next_at = now()", w.dataset)).await;
    asked_in_production(&w, 30).await;
    let again = w.claim().await;
    service(
        &w.worker,
        "study_repeat",
        args(&again["repeat"]["lease_token"]),
    )
    .await;
    let next = format!(
        "SELECT count(*) FROM public.studies s WHERE s.repeats = '{}' AND s.workflow_version = 2 AND cardinality(s.items) = 30
           AND s.owner_id = '{}' AND s.retune IS NOT NULL AND s.status = 'queued'
           AND (SELECT count(*) FROM public.study_trials t WHERE t.study_id = s.id) = 2", w.study, w.me.user);
    assert_eq!(w.count(&next).await, 1);
    assert_eq!(
        w.count("SELECT count(*) FROM public.studies WHERE next_at IS NULL")
            .await,
        1,
        "the old one has done its part"
    );
}

#[tokio::test]
async fn a_gain_that_cannot_be_applied_says_so_and_one_that_is_not_to_be_repeated_rests() {
    let retune =
        json!({"retune": {"days": 7, "most": 50, "question": "", "expected": null, "apply": true}});
    let w = world(2, retune).await;
    let change = json!({"id": w.workflow, "row": {"name": "other"}, "children": [{"table": "workflow_versions", "row": {"workflow_id": w.workflow}}]});
    done(&w.session, "save_workflow", change).await;
    w.succeed().await;
    let told =
        "SELECT count(*) FROM public.studies WHERE status = 'succeeded' AND applied_at IS NULL
        AND outcome ->> 'not_applied' = 'the workflow has changed meanwhile'";
    assert_eq!(w.count(told).await, 1);
    done(&w.session, "study_cancel", json!({"id": w.study})).await;
    assert_eq!(
        w.count(
            "SELECT count(*) FROM public.studies WHERE next_at IS NULL AND status = 'succeeded'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn who_may_not_write_workflows_applies_nothing_and_nobody_says_what_it_comes_to() {
    let w = world(2, json!({})).await;
    w.succeed().await;
    w.own(&format!(
        "UPDATE public.api_keys SET scopes = '{{optimizations:write}}' WHERE id = '{}'",
        w.me.key
    ))
    .await;
    let narrow = w.me.session(&w.db).await;
    let made = command(&narrow, "study_apply", json!({"id": w.study})).await;
    assert_eq!(made["outcome"], "forbidden", "{made}");
    for sql in [
        "UPDATE public.studies SET outcome = '{\"winner\": 1}'",
        "UPDATE public.studies SET winner_definition = '{}'",
        "UPDATE public.study_trials SET scores = '{}'",
        "UPDATE public.evaluations SET study_id = NULL",
    ] {
        assert!(w.session.touch(sql).await.is_err(), "{sql}");
    }
    let stranger = w.db.tenant("b").await.session(&w.db).await;
    let args = json!({"id": w.study, "org_id": w.me.org, "limit": 10});
    assert_eq!(stranger.call("study_tried", args).await, Value::Null);
    let place = json!({"id": w.workflow, "org_id": w.me.org});
    assert_eq!(
        stranger.call("study_workflow", place.clone()).await,
        Value::Null
    );
    let old = json!({"id": w.workflow, "org_id": w.me.org, "version": 9});
    assert_eq!(w.session.call("study_workflow", old).await, Value::Null);
    assert_eq!(w.session.call("study_workflow", place).await["version"], 1);
}
