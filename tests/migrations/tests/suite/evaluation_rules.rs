//! Rules of online evaluation and syntheses of questions: a trace is sampled once, a share is always the same, a lost lease stores
//! nothing, budgets and lost owners end them.

use migrations_tests::{Database, Session, Tenant, command, done, id, service};
use serde_json::{Value, json};

async fn sql(db: &Database, text: &str) {
    let owner = db.owner().await;
    owner.batch_execute(text).await.expect("a statement");
}

async fn count(db: &Database, text: &str) -> i64 {
    let row = db.owner().await.query_one(text, &[]).await.expect(text);
    row.get(0)
}

async fn workflow(session: &Session) -> String {
    let (workflow, empty) = (id(), json!({"nodes": [], "edges": []}));
    let write = json!({"table": "workflows", "id": workflow, "row": {"name": "w", "definition": empty},
        "children": [{"table": "workflow_versions", "row": {"workflow_id": workflow, "definition": empty}}]});
    assert_eq!(session.call("write", write).await["outcome"], "done");
    workflow
}

/// So many traces that begin now.
async fn traces(db: &Database, me: &Tenant, workflow: &str, n: usize) {
    let text = format!(
        "WITH made AS (
           INSERT INTO public.traces (org_id, trace_id, day, name, kind, status, started_at, duration_us, workflow_id)
           SELECT '{org}', replace(gen_random_uuid()::text, '-', ''), (now() AT TIME ZONE 'UTC')::date, 't', 'run', 'ok', now(), 1,
             '{workflow}' FROM generate_series(1, {n}) RETURNING *)
         INSERT INTO public.spans (org_id, trace_id, span_id, day, name, status, started_at, duration_us, attributes)
         SELECT m.org_id, m.trace_id, '00000000000000aa', m.day, 's', 'ok', m.started_at, 1,
           '{{\"nodeai.input\":\"when?\",\"nodeai.output\":{{\"a\":\"at nine\"}}}}' FROM made m",
        org = me.org
    );
    sql(db, &text).await;
}

async fn rule(session: &Session, workflow: &str, more: Value) -> String {
    let rule = id();
    let mut row = json!({"name": rule, "workflow_id": workflow, "deployment_id": null, "filter": {}, "sample_rate": 1.0,
        "metrics": ["faithfulness"], "settings": {"metrics": [{"metric": "faithfulness"}], "concurrency": 1},
        "judge": {"model": "m"}, "budget_pusd": null, "every_s": 1, "paused": false});
    let map = row.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    let args = json!({"id": rule, "dataset_id": id(), "row": row});
    done(session, "rule_create", args).await;
    rule
}

async fn claim(worker: &Session) -> Value {
    let args = json!({"lease_us": 60_000_000, "tasks": 10});
    service(worker, "eval_rules_claim", args).await
}

/// What a drain makes of it: every trace can be read.
async fn step(worker: &Session, claimed: &Value) -> Value {
    let traces = claimed["traces"].as_array().expect("traces");
    let items: Vec<Value> = traces
        .iter()
        .map(|t| {
            json!({"trace_id": t["trace_id"], "at_us": t["at_us"], "question": t["input"],
            "answered": {"answer": t["output"]["a"]}})
        })
        .collect();
    let rule = &claimed["rule"];
    let args = json!({"id": rule["id"], "lease_token": rule["lease_token"], "looked_us": rule["looked_us"],
        "whole": items.len() < 10, "items": items, "skipped": []});
    service(worker, "eval_rule_step", args).await
}

/// Its batches have ended, each at this cost, with a score for each item.
async fn end_batches(db: &Database, cost_pusd: i64) {
    let text = format!(
        "INSERT INTO public.eval_results (org_id, evaluation_id, item_id, metric, score)
           SELECT t.org_id, t.evaluation_id, t.item_id, 'faithfulness', 0.5 FROM public.eval_tasks t WHERE t.state = 'given';
         UPDATE public.eval_tasks SET state = 'done';
         UPDATE public.evaluations SET status = 'succeeded', cost_pusd = {cost_pusd} WHERE status IN ('queued', 'running');
         UPDATE public.eval_rules SET next_at = now()"
    );
    sql(db, &text).await;
}

const SAMPLED: &str = "SELECT count(*) FROM public.eval_items";

#[tokio::test]
async fn a_trace_is_sampled_once_whoever_steps_and_scored_in_the_same_statement() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await;
    let (session, worker) = (me.session(&db).await, db.session().await);
    let workflow = workflow(&session).await;
    traces(&db, &me, &workflow, 3).await;
    let rule = rule(&session, &workflow, json!({})).await;
    traces(&db, &me, &workflow, 12).await;
    let first = claim(&worker).await;
    assert_eq!(first["traces"].as_array().map(Vec::len), Some(10));
    assert!(claim(&worker).await["rule"].is_null(), "it is somebody's");
    assert_eq!(step(&worker, &first).await["outcome"], "stepped");
    // The same once more, as after an answer that was lost, makes no item.
    step(&worker, &first).await;
    assert_eq!(count(&db, SAMPLED).await, 10);
    assert!(claim(&worker).await["rule"].is_null(), "a batch is at work");
    end_batches(&db, 5).await;
    let second = claim(&worker).await;
    assert_eq!(
        second["traces"].as_array().map(Vec::len),
        Some(2),
        "what began before the rule is left out"
    );
    // A lost lease stores nothing.
    sql(
        &db,
        "UPDATE public.eval_rules SET lease_until = now() - interval '1 second'",
    )
    .await;
    let third = claim(&worker).await;
    assert_eq!(step(&worker, &second).await["outcome"], "fenced");
    step(&worker, &third).await;
    end_batches(&db, 5).await;
    assert_eq!(count(&db, SAMPLED).await, 12);
    let scored =
        "SELECT count(*) FROM public.trace_scores WHERE name = 'faithfulness' AND score = 0.5";
    assert_eq!(count(&db, scored).await, 12);
    let from =
        json!({"id": rule, "org_id": me.org, "from_us": 0, "to_us": i64::MAX / 2, "step": "day"});
    let series = session.call("eval_rule_series", from.clone()).await;
    assert_eq!(series["points"][0]["n"], 12, "{series}");
    let stranger = db.tenant("b").await.session(&db).await;
    assert_eq!(stranger.call("eval_rule_series", from).await, Value::Null);
}

#[tokio::test]
async fn a_share_is_about_as_big_as_it_says_and_always_the_same() {
    let db = Database::fresh().await;
    let share = "SELECT count(*) FROM generate_series(1, 10000) i
        WHERE nodeai.is_sampled('00000000-0000-0000-0000-000000000001', md5(i::text), 0.2)";
    let n = count(&db, share).await;
    assert!((1_800..=2_200).contains(&n), "{n}");
    let grows = "SELECT count(*) FROM generate_series(1, 10000) i
        WHERE nodeai.is_sampled('00000000-0000-0000-0000-000000000001', md5(i::text), 0.2)
          AND NOT nodeai.is_sampled('00000000-0000-0000-0000-000000000001', md5(i::text), 0.3)";
    assert_eq!(
        count(&db, grows).await,
        0,
        "a bigger share has the smaller one in it"
    );
}

#[tokio::test]
async fn a_days_budget_and_a_lost_owner_let_it_rest() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await;
    let (session, worker) = (me.session(&db).await, db.session().await);
    let workflow = workflow(&session).await;
    let rule = rule(&session, &workflow, json!({"budget_pusd": 10})).await;
    traces(&db, &me, &workflow, 1).await;
    let claimed = claim(&worker).await;
    step(&worker, &claimed).await;
    let remains = "SELECT budget_pusd FROM public.evaluations";
    assert_eq!(count(&db, remains).await, 10);
    end_batches(&db, 10).await;
    traces(&db, &me, &workflow, 1).await;
    let claimed = claim(&worker).await;
    assert_eq!(claimed["traces"], json!([]));
    step(&worker, &claimed).await;
    let rests = "SELECT count(*) FROM public.eval_rules WHERE error ->> 'kind' = 'budget' AND next_at > now() AND NOT paused";
    assert_eq!(count(&db, rests).await, 1);
    // The next day goes on.
    sql(&db, "UPDATE public.evaluations SET created_at = created_at - interval '1 day'; UPDATE public.eval_rules SET next_at = now()").await;
    let claimed = claim(&worker).await;
    assert_eq!(claimed["traces"].as_array().map(Vec::len), Some(1));
    let revoke = format!(
        "UPDATE public.api_keys SET revoked_at = now() WHERE id = '{}'",
        me.key
    );
    sql(&db, &revoke).await;
    assert_eq!(step(&worker, &claimed).await["outcome"], "ended");
    let paused =
        "SELECT count(*) FROM public.eval_rules WHERE paused AND error ->> 'kind' = 'owner_gone'";
    assert_eq!(count(&db, paused).await, 1);
    let noted = "SELECT count(*) FROM public.audit_logs WHERE action = 'evaluation_rule.refused'";
    assert_eq!(count(&db, noted).await, 1);
    assert!(!rule.is_empty());
}

/// A base with one document of so many chunks, and a synthesis of them.
async fn synthesis(
    db: &Database,
    me: &Tenant,
    session: &Session,
    chunks: usize,
    more: Value,
) -> String {
    let (base, document, dataset, made) = (id(), id(), id(), id());
    let text = format!(
        "INSERT INTO public.knowledge_bases (id, org_id, name) VALUES ('{base}', '{org}', 'k');
         INSERT INTO public.documents (id, org_id, knowledge_base_id, title, source_kind) VALUES ('{document}', '{org}', '{base}', 'd', 'text');
         INSERT INTO public.chunks (id, org_id, knowledge_base_id, document_id, index_version, number, start_offset, end_offset, content,
             content_hash)
           SELECT gen_random_uuid(), '{org}', '{base}', '{document}', 1, i, 0, 9, repeat('words and words ', 5) || i, md5(i::text)
           FROM generate_series(1, {chunks}) i;
         INSERT INTO public.eval_datasets (id, org_id, name) VALUES ('{dataset}', '{org}', '{dataset}')",
        org = me.org
    );
    sql(db, &text).await;
    let mut row = json!({"dataset_id": dataset, "knowledge_base_id": base, "questions": 10, "settings": {"questions": 1},
        "judge": {"model": "m"}, "budget_pusd": null});
    let map = row.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    let args = json!({"id": made, "row": row, "per_chunk": 1, "filter": {}, "seed": "0"});
    done(session, "synthesis_create", args).await;
    made
}

async fn work(worker: &Session) -> Value {
    let args = json!({"lease_us": 60_000_000, "tasks": 10});
    service(worker, "evaluation_work", args).await
}

/// What a drain makes of it: each chunk has one question, the same for every second.
async fn ask(worker: &Session, claimed: &Value) -> Value {
    let synthesis = &claimed["synthesis"];
    let ended: Vec<Value> = claimed["ended"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let number = one["number"].as_i64().expect("a number");
            json!({"number": number, "cost_pusd": one["run"]["cost_pusd"], "unsupported": 0,
            "made": [{"question": format!("Q {}?", number / 2), "answer": "a", "quote": "q"}]})
        })
        .collect();
    let waiting = claimed["waiting"].as_array().expect("a list").iter();
    let runs: Vec<Value> = waiting.map(|one| json!({"number": one["number"], "definition": {"nodes": [], "edges": []}, "inputs": {}})).collect();
    let args = json!({"id": synthesis["id"], "lease_token": synthesis["lease_token"], "ended": ended, "runs": runs});
    service(worker, "eval_synthesis_step", args).await
}

async fn end_runs(db: &Database, cost_pusd: i64) {
    let text = format!(
        "UPDATE public.execution_queue SET status = 'succeeded', outputs = '{{}}', started_at = now(), finished_at = now(),
           cost_pusd = {cost_pusd} WHERE finished_at IS NULL;
         UPDATE public.eval_syntheses SET next_at = now()"
    );
    sql(db, &text).await;
}

#[tokio::test]
async fn questions_of_chunks_come_into_the_dataset_as_one_version_each_once() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await;
    let (session, worker) = (me.session(&db).await, db.session().await);
    synthesis(&db, &me, &session, 3, json!({})).await;
    let first = work(&worker).await;
    assert_eq!(first["waiting"].as_array().map(Vec::len), Some(3));
    assert!(
        work(&worker).await["synthesis"].is_null(),
        "it is somebody's"
    );
    assert_eq!(ask(&worker, &first).await["outcome"], "stepped");
    end_runs(&db, 7).await;
    let second = work(&worker).await;
    assert_eq!(second["ended"].as_array().map(Vec::len), Some(3));
    assert_eq!(ask(&worker, &second).await["outcome"], "ended");
    assert_eq!(ask(&worker, &second).await["outcome"], "fenced");
    // 1, 2 and 3 halved: two of them ask the same.
    let added = "SELECT count(*) FROM public.eval_items WHERE dataset_version = 2 AND jsonb_array_length(relevant) = 1";
    assert_eq!(count(&db, added).await, 2);
    let done = "SELECT cost_pusd FROM public.eval_syntheses WHERE status = 'succeeded' AND (outcome ->> 'duplicates')::int = 1";
    assert_eq!(count(&db, done).await, 21);
}

#[tokio::test]
async fn a_spent_budget_keeps_the_questions_that_there_are_and_a_lost_owner_ends_it() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await;
    let (session, worker) = (me.session(&db).await, db.session().await);
    synthesis(&db, &me, &session, 10, json!({"budget_pusd": 8})).await;
    let claimed = work(&worker).await;
    ask(&worker, &claimed).await;
    end_runs(&db, 1).await;
    let claimed = work(&worker).await;
    assert_eq!(claimed["waiting"].as_array().map(Vec::len), Some(2));
    // Eight have spent it: the other two are not asked.
    assert_eq!(ask(&worker, &claimed).await["outcome"], "ended");
    let failed = "SELECT (outcome ->> 'added')::bigint FROM public.eval_syntheses WHERE status = 'failed' AND error ->> 'kind' = 'budget'";
    assert!(count(&db, failed).await > 3);
    assert_eq!(
        count(&db, "SELECT count(*) FROM public.execution_queue").await,
        8
    );
    let made = synthesis(&db, &me, &session, 1, json!({})).await;
    let claimed = work(&worker).await;
    let revoke = format!(
        "UPDATE public.api_keys SET revoked_at = now() WHERE id = '{}'",
        me.key
    );
    sql(&db, &revoke).await;
    assert_eq!(ask(&worker, &claimed).await["outcome"], "ended");
    let gone = format!(
        "SELECT count(*) FROM public.eval_syntheses WHERE id = '{made}' AND error ->> 'kind' = 'owner_gone'"
    );
    assert_eq!(count(&db, &gone).await, 1);
    let cancel = command(&session, "synthesis_cancel", json!({"id": made})).await;
    assert_ne!(cancel["outcome"], "done");
}
