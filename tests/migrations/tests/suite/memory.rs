//! Conversations: kept once, by run and node; bounded; of one organisation.

use futures::future::join_all;
use migrations_tests::{Database, Session, command, done, id, service};
use serde_json::{Value, json};
use uuid::Uuid;

fn turn(node: &str, session: &str, said: &str) -> Value {
    json!({"node": node, "scope": "organisation", "name": "", "session": session, "user": said,
        "assistant": format!("re: {said}"), "ttl_ms": 60_000})
}

async fn started(session: &Session, mode: &str) -> String {
    let run = id();
    let trace = Uuid::new_v4().simple().to_string();
    let execution =
        json!({"id": run, "trace_id": trace, "mode": mode, "inputs": {}, "definition": {}});
    let made = session
        .call("run_start", json!({"execution": execution}))
        .await;
    assert_eq!(made["outcome"], "started", "{made}");
    run
}

async fn committed(session: &Session, turns: Value) -> Value {
    let run = started(session, "sync").await;
    let end = json!({"execution": {"id": run, "status": "succeeded"}, "memory": turns});
    let first = session.call("run_commit", end.clone()).await;
    assert_eq!(first["outcome"], "committed", "{first}");
    session.call("run_commit", end).await["outcome"].clone()
}

async fn recalled(session: &Session, of: &str, most: u32) -> Vec<String> {
    let args = json!({"name": "", "session": of, "execution_id": id(), "most": most});
    let turns = session.call("memory_recall", args).await;
    let turns = turns.as_array().expect("turns").iter();
    turns
        .map(|turn| turn["user"].as_str().expect("a text").to_owned())
        .collect()
}

#[tokio::test]
async fn a_turn_is_kept_once_and_only_for_its_organisation() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await.session(&db).await;
    let stranger = db.tenant("b").await.session(&db).await;
    let turns = json!([
        turn("a", "s", "one"),
        turn("b", "s", "two"),
        turn("a", "s", "one")
    ]);
    assert_eq!(committed(&me, turns).await, "already");
    assert_eq!(recalled(&me, "s", 10).await, ["one", "two"]);
    assert_eq!(recalled(&me, "s", 1).await, ["two"], "the last ones");
    assert_eq!(recalled(&me, "other", 10).await.len(), 0);
    assert_eq!(recalled(&stranger, "s", 10).await.len(), 0);
    let shown = "SELECT count(*) FROM public.memory_sessions";
    assert_eq!((me.count(shown).await, stranger.count(shown).await), (1, 0));
    let row = me
        .client()
        .query_one("SELECT id::text FROM public.memory_sessions", &[]);
    let session: String = row.await.expect("a session").get(0);
    let args = json!({"id": session});
    let theirs = command(&stranger, "memory_forget", args.clone()).await;
    assert_eq!(theirs["outcome"], "missing", "{theirs}");
    assert_eq!(
        stranger.call("memory_session", args.clone()).await,
        Value::Null
    );
    let mine = me.call("memory_session", args.clone()).await;
    assert_eq!(mine["turns"].as_array().map(Vec::len), Some(2), "{mine}");
    done(&me, "memory_forget", args).await;
    assert_eq!(recalled(&me, "s", 10).await.len(), 0);
}

#[tokio::test]
async fn a_queued_run_keeps_a_turn_under_its_lease_alone() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await.session(&db).await;
    let run = started(&me, "queued").await;
    let worker = db.session().await;
    let claim = "SELECT answer FROM nodeai.queue_claim($1)";
    let ask = json!({"execution_id": run, "lease_us": 60_000_000});
    let row = worker.client().query_one(claim, &[&ask]).await;
    let answer: Value = row.expect("a claim").get(0);
    let lease = &answer["execution"]["lease_token"];
    let append = |lease: Value, first: i64| {
        json!({"id": run, "lease_token": lease, "first_seq": first, "last_seq": first, "events": ["[]"],
            "memory": [turn("ask", "s", "one")]})
    };
    let lost = me.call("run_append", append(json!(0), 0)).await;
    assert_eq!(lost["outcome"], "lost");
    assert_eq!(recalled(&me, "s", 10).await.len(), 0);
    for first in [0, 1] {
        let kept = me.call("run_append", append(lease.clone(), first)).await;
        assert_eq!(kept["outcome"], "ok", "{kept}");
    }
    assert_eq!(recalled(&me, "s", 10).await, ["one"]);
    // The run itself has it in its log.
    let args = json!({"name": "", "session": "s", "execution_id": run, "most": 10});
    assert_eq!(me.call("memory_recall", args).await, json!([]));
}

#[tokio::test]
async fn runs_at_once_lose_no_turn_and_wait_for_nobody_for_ever() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(tenant.session(&db).await);
    }
    // In orders that would lock each other out.
    let all = sessions.iter().enumerate().map(|(at, session)| {
        let said = at.to_string();
        let mut turns = [turn("a", "x", &said), turn("b", "y", &said)];
        if at % 2 == 0 {
            turns.reverse();
        }
        committed(session, json!(turns))
    });
    join_all(all).await;
    for of in ["x", "y"] {
        let mut kept = recalled(&sessions[0], of, 100).await;
        kept.sort();
        assert_eq!(kept, ["0", "1", "2", "3", "4", "5"]);
    }
}

#[tokio::test]
async fn a_session_keeps_its_last_hundred_turns_until_it_is_over() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await.session(&db).await;
    let turns = (0..120).map(|at| turn(&format!("each[{at}]/ask"), "s", &at.to_string()));
    committed(&me, turns.collect()).await;
    let rows = "SELECT count(*) FROM public.memory_turns";
    assert_eq!(me.count(rows).await, 100);
    let kept = recalled(&me, "s", 100).await;
    assert_eq!((kept[0].as_str(), kept[99].as_str()), ("20", "119"));
    let over = "UPDATE public.memory_sessions SET expires_at = now() - interval '1 second'";
    db.owner()
        .await
        .execute(over, &[])
        .await
        .expect("an update");
    assert_eq!(recalled(&me, "s", 100).await.len(), 0);
    committed(&me, json!([turn("n", "s", "again")])).await;
    assert_eq!(
        recalled(&me, "s", 100).await,
        ["again"],
        "another conversation"
    );
    db.owner()
        .await
        .execute(over, &[])
        .await
        .expect("an update");
    let worker = db.session().await;
    let housekeeping = "SELECT nodeai.housekeeping('{}')";
    let row = db.owner().await.query_one(housekeeping, &[]).await;
    let kept: Value = row.expect("an answer").get(0);
    assert_eq!(kept["memory_sessions"], 1, "{kept}");
    assert_eq!(me.count(rows).await, 0);
    let gone = json!({"id": id(), "node": "ask"});
    assert_eq!(service(&worker, "hook_wait", gone).await, Value::Null);
}
