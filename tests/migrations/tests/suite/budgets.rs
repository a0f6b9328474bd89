//! Budgets: never above their limit, whoever asks at the same time, whatever becomes of the run.

use migrations_tests::{Database, Session, Tenant, id};
use serde_json::{Value, json};
use uuid::Uuid;

const MINUTE_US: i64 = 60_000_000;

/// Makes a budget of the organisation and gives its id.
async fn budget(session: &Session, more: Value) -> String {
    let budget = id();
    let mut args = json!({"id": budget, "name": "b", "subject": "organization", "period": "total", "unpriced": "refuse"});
    let map = args.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    let made = json!({"do": "budget_create", "args": args, "answer": {"status": 201, "body": {}}});
    let made = session.call("command", made).await;
    assert_eq!(made["outcome"], "done", "{made}");
    budget
}

/// A run under way.
async fn run(session: &Session) -> String {
    let run = id();
    let trace = Uuid::new_v4().simple().to_string();
    let start = json!({"execution": {"id": run, "trace_id": trace, "mode": "sync", "inputs": {},
        "definition": {"nodes": []}}});
    assert_eq!(session.call("run_start", start).await["outcome"], "started");
    run
}

async fn reserve_for(
    session: &Session,
    run: &str,
    ticket: &str,
    tokens: i64,
    pusd: Value,
    lasts_us: i64,
) -> Value {
    let args = json!({"execution_id": run, "ticket": ticket, "tokens": tokens, "pusd": pusd, "lasts_us": lasts_us});
    session.call("budget_reserve", args).await
}

/// Reserves tokens; the outcome and the ticket.
async fn reserve(session: &Session, run: &str, tokens: i64) -> (String, String) {
    let ticket = Uuid::new_v4().to_string();
    let answer = reserve_for(session, run, &ticket, tokens, json!(0), MINUTE_US).await;
    let outcome = answer["outcome"].as_str().expect("an outcome");
    (outcome.to_owned(), ticket)
}

async fn settle(session: &Session, ticket: &str, tokens: Option<i64>) {
    let mut entry = json!({"ticket": ticket});
    if let Some(tokens) = tokens {
        entry["tokens"] = json!(tokens);
        entry["pusd"] = json!(0);
    }
    let told = session
        .call("budget_settle", json!({"tickets": [entry]}))
        .await;
    assert_eq!(told["outcome"], "settled");
}

/// (spent, reserved) in tokens, as the API shows it.
async fn stands(session: &Session, budget: &str) -> (i64, i64) {
    let found = session
        .call("budgets_list", json!({"id": budget, "limit": 1}))
        .await;
    let of = |name: &str| found[0][name].as_i64().expect("a number");
    (of("spent_tokens"), of("reserved_tokens"))
}

#[tokio::test]
async fn many_at_once_never_spend_more_than_there_is() {
    const CLIENTS: usize = 24;
    const LIMIT: i64 = 1_000;
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let me = tenant.session(&db).await;
    // Two budgets apply to each call, the second one in money.
    let tokens = budget(&me, json!({"limit_tokens": LIMIT})).await;
    let money = json!({"subject": "key", "subject_id": tenant.key, "limit_pusd": 700_000_000});
    let money = budget(&me, money).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let session = tenant.session(&db).await;
        clients.spawn(async move {
            let run = run(&session).await;
            let mut spent = 0;
            for call in 0..40_i64 {
                let ticket = Uuid::new_v4().to_string();
                let most = 20 + (client as i64 * 7 + call * 13) % 60;
                let pusd = json!(most * 600_000);
                let answer = reserve_for(&session, &run, &ticket, most, pusd, MINUTE_US).await;
                match answer["outcome"].as_str() {
                    Some("granted") => {
                        let used = most * (call % 4) / 3;
                        let entry =
                            json!({"ticket": ticket, "tokens": used, "pusd": used * 600_000});
                        let told = json!({"tickets": [entry]});
                        session.call("budget_settle", told).await;
                        spent += used;
                    }
                    Some("busy" | "exceeded") => {}
                    other => panic!("{other:?}"),
                }
            }
            spent
        });
    }
    // Meanwhile somebody looks, all the time.
    let watcher = tenant.session(&db).await;
    let mut spent = 0;
    while !clients.is_empty() {
        let (used, held) = stands(&watcher, &tokens).await;
        assert!(used + held <= LIMIT, "{used} + {held}");
        while let Some(done) = clients.try_join_next() {
            spent += done.expect("a client");
        }
        tokio::task::yield_now().await;
    }
    let (used, held) = stands(&me, &tokens).await;
    assert_eq!((used, held), (spent, 0), "every call was counted once");
    assert!(used > LIMIT / 2, "hardly anything was spent: {used}");
    let found = me
        .call("budgets_list", json!({"id": money, "limit": 1}))
        .await;
    assert_eq!(
        found[0]["spent_usd_micros"],
        json!((used * 600_000 + 500_000) / 1_000_000)
    );
    assert_eq!(found[0]["reserved_usd_micros"], 0);
}

#[tokio::test]
async fn a_call_is_reserved_in_all_budgets_or_in_none() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let me = tenant.session(&db).await;
    let wide = budget(&me, json!({"limit_tokens": 100})).await;
    let user = json!({"subject": "user", "subject_id": tenant.user, "limit_tokens": 10});
    let narrow = budget(&me, user).await;
    let other =
        json!({"subject": "workflow", "subject_id": workflow(&me).await, "limit_tokens": 0});
    budget(&me, other).await;
    let run = run(&me).await;
    assert_eq!(reserve(&me, &run, 11).await.0, "exceeded");
    assert_eq!(stands(&me, &wide).await, (0, 0));
    let (outcome, ticket) = reserve(&me, &run, 6).await;
    assert_eq!(
        outcome, "granted",
        "another workflow's budget is not this run's"
    );
    assert_eq!(reserve(&me, &run, 6).await.0, "busy");
    assert_eq!(stands(&me, &narrow).await, (0, 6));
    settle(&me, &ticket, Some(4)).await;
    settle(&me, &ticket, Some(4)).await;
    assert_eq!(
        stands(&me, &narrow).await,
        (4, 0),
        "a ticket is settled once"
    );
    // An answer that was lost on its way: the same ticket again.
    let again = reserve_for(&me, &run, &ticket, 6, json!(0), MINUTE_US).await;
    assert_eq!(again["outcome"], "granted");
    let again = reserve_for(&me, &run, &ticket, 6, json!(0), MINUTE_US).await;
    assert_eq!(again["outcome"], "granted");
    assert_eq!(stands(&me, &wide).await, (4, 6));
}

async fn workflow(session: &Session) -> String {
    let workflow = id();
    let write = json!({"table": "workflows", "op": "insert", "id": workflow,
        "row": {"name": "w", "definition": {"nodes": [], "edges": []}}});
    assert_eq!(session.call("write", write).await["outcome"], "done");
    workflow
}

#[tokio::test]
async fn a_price_that_is_not_known_is_refused_or_counts_in_tokens_alone() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await.session(&db).await;
    let limit = json!({"limit_pusd": 5_000_000, "limit_tokens": 100});
    let strict = budget(&me, limit).await;
    let run = run(&me).await;
    let ask = async |ticket: &str| {
        let answer = reserve_for(&me, &run, ticket, 10, Value::Null, MINUTE_US).await;
        answer["outcome"].clone()
    };
    assert_eq!(ask(&id()).await, "unpriced");
    let allow =
        json!({"do": "budget_update", "args": {"id": strict, "row": {"unpriced": "allow"}}});
    assert_eq!(me.call("command", allow).await["version"], 2);
    assert_eq!(ask(&id()).await, "granted");
    assert_eq!(stands(&me, &strict).await, (0, 10));
}

#[tokio::test]
async fn a_new_window_begins_with_what_is_still_held() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await.session(&db).await;
    let owner = db.owner().await;
    for period in ["day", "week", "month"] {
        let windowed = json!({"period": period, "limit_tokens": 100});
        let windowed = budget(&me, windowed).await;
        let run = run(&me).await;
        let (_, spent) = reserve(&me, &run, 60).await;
        settle(&me, &spent, Some(60)).await;
        let (_, open) = reserve(&me, &run, 30).await;
        assert_eq!(reserve(&me, &run, 50).await.0, "exceeded");
        let past = format!(
            "UPDATE public.budgets SET period_start = period_start - interval '40 days' WHERE id = '{windowed}'"
        );
        owner.batch_execute(&past).await.expect("the past");
        assert_eq!(stands(&me, &windowed).await, (0, 30), "{period}");
        assert_eq!(reserve(&me, &run, 71).await.0, "busy");
        assert_eq!(reserve(&me, &run, 70).await.0, "granted");
        settle(&me, &open, Some(20)).await;
        assert_eq!(stands(&me, &windowed).await, (20, 70), "{period}");
        let delete = json!({"table": "budgets", "op": "delete", "id": windowed});
        assert_eq!(me.call("write", delete).await["outcome"], "done");
    }
}

#[tokio::test]
async fn what_a_dead_run_had_reserved_counts_as_spent_until_somebody_knows_better() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await.session(&db).await;
    let limited = budget(&me, json!({"period": "day", "limit_tokens": 100})).await;
    let run = run(&me).await;
    let (dead, live) = (id(), id());
    let over = reserve_for(&me, &run, &dead, 40, json!(0), -1).await;
    assert_eq!(over["outcome"], "granted");
    reserve_for(&me, &run, &live, 10, json!(0), MINUTE_US).await;
    let owner = db.owner().await;
    let keep = "SELECT (nodeai.housekeeping('{}') ->> 'reservations_lapsed')::bigint";
    let lapsed = async || -> i64 { owner.query_one(keep, &[]).await.expect("kept").get(0) };
    assert_eq!(lapsed().await, 1);
    assert_eq!(stands(&me, &limited).await, (40, 10));
    assert_eq!(lapsed().await, 0);
    // The host was only slow: its settlement puts it right.
    settle(&me, &dead, Some(15)).await;
    assert_eq!(stands(&me, &limited).await, (15, 10));
    settle(&me, &live, None).await;
    assert_eq!(
        stands(&me, &limited).await,
        (25, 0),
        "unknown cost is all of it"
    );
}

#[tokio::test]
async fn a_run_is_told_what_it_has_to_heed() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let me = tenant.session(&db).await;
    let start = async || {
        let trace = Uuid::new_v4().simple().to_string();
        let start = json!({"execution": {"id": id(), "trace_id": trace, "mode": "sync", "inputs": {},
            "definition": {"nodes": []}}});
        me.call("run_start", start).await["budgets"].clone()
    };
    let none = json!({"applies": false, "used_up": null, "prices": [],
        "run": {"pusd": null, "tokens": null, "unpriced": "allow"}});
    assert_eq!(start().await, none);
    budget(
        &me,
        json!({"period": "run", "limit_tokens": 70, "limit_pusd": 5}),
    )
    .await;
    let user =
        json!({"subject": "user", "subject_id": tenant.user, "period": "run", "limit_tokens": 50});
    budget(&me, user).await;
    let told = start().await;
    assert_eq!(
        told["applies"], false,
        "limits per run need no statement per call"
    );
    let lowest = json!({"pusd": 5, "tokens": 50, "unpriced": "refuse"});
    assert_eq!(told["run"], lowest);
    let spent = budget(
        &me,
        json!({"name": "empty", "period": "week", "limit_tokens": 0}),
    )
    .await;
    let told = start().await;
    assert_eq!(
        (&told["applies"], &told["used_up"]["id"]),
        (&json!(true), &json!(spent))
    );
    assert!(told["used_up"]["resets_us"].is_i64());
}

#[tokio::test]
async fn only_admins_change_budgets_and_only_members_use_them() {
    let db = Database::fresh().await;
    let (owner, editor, stranger) = (
        db.tenant("a").await,
        db.tenant("e").await,
        db.tenant("s").await,
    );
    let mine = owner.session(&db).await;
    let limited = budget(&mine, json!({"limit_tokens": 100})).await;
    join(&db, &owner, &editor, "editor").await;
    let theirs = editor.session_in(&db, &owner.org).await;
    // An editor's run reserves and settles, and cannot touch the budget itself.
    let run = run(&theirs).await;
    let (outcome, ticket) = reserve(&theirs, &run, 30).await;
    assert_eq!(outcome, "granted");
    let update =
        json!({"do": "budget_update", "args": {"id": limited, "row": {"limit_tokens": 1_000}}});
    assert_eq!(theirs.call("command", update).await["outcome"], "forbidden");
    assert!(
        theirs
            .touch("UPDATE public.budgets SET spent_tokens = 0")
            .await
            .is_err()
    );
    assert!(
        theirs
            .touch("SELECT FROM nodeai.budget_reservations")
            .await
            .is_err()
    );
    // A stranger names the organisation, the run and the ticket, and gets nowhere.
    let other = stranger.session(&db).await;
    let args = json!({"org_id": owner.org, "execution_id": run, "ticket": id(), "tokens": 1, "pusd": 0, "lasts_us": 1});
    assert!(
        other
            .try_call("budget_reserve", args.clone())
            .await
            .is_err()
    );
    let mut own = args;
    own["org_id"] = json!(stranger.org);
    assert_eq!(other.call("budget_reserve", own).await["outcome"], "lost");
    let free = json!({"ticket": ticket, "tokens": 0, "pusd": 0});
    let named = json!({"org_id": owner.org, "tickets": [free]});
    assert!(other.try_call("budget_settle", named).await.is_err());
    other
        .call("budget_settle", json!({"tickets": [free]}))
        .await;
    assert_eq!(stands(&mine, &limited).await, (0, 30));
    let seen = other
        .call("budgets_list", json!({"org_id": owner.org, "limit": 10}))
        .await;
    assert_eq!(seen, json!([]));
    // Nothing negative, and nothing of a run that is over.
    let below = json!({"tickets": [{"ticket": ticket, "tokens": -50, "pusd": -5}]});
    theirs.call("budget_settle", below).await;
    assert_eq!(stands(&mine, &limited).await, (0, 0));
    assert!(
        theirs
            .try_call(
                "budget_reserve",
                json!({"execution_id": run, "ticket": id(), "tokens": -5,
        "pusd": 0, "lasts_us": 1})
            )
            .await
            .is_err()
    );
    let end = json!({"execution": {"id": run, "status": "failed"}});
    assert_eq!(theirs.call("run_commit", end).await["outcome"], "committed");
    assert_eq!(reserve(&theirs, &run, 1).await.0, "lost");
}

async fn join(db: &Database, owner: &Tenant, member: &Tenant, role: &str) {
    let sql = format!(
        "INSERT INTO public.organization_members (org_id, user_id, role) VALUES ('{}', '{}', '{role}')",
        owner.org, member.user
    );
    db.owner()
        .await
        .batch_execute(&sql)
        .await
        .expect("a member");
}
