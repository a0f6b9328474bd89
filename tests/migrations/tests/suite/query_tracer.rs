//! Queries among the traces, objectives, links to traces: what is found, counted and shown, and to whom.

use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};

fn now_us() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_micros()).expect("µs")
}

fn trace_id(number: u64) -> String {
    format!("{number:032x}")
}

fn span(trace: u64, number: u64, more: Value) -> Value {
    let mut span = json!({"trace_id": trace_id(trace), "span_id": format!("{number:016x}"), "name": "step", "status": "ok",
        "start_us": now_us() - 1_000_000, "duration_us": 1_000, "attributes": {}});
    let members = more.as_object().expect("an object").clone();
    span.as_object_mut().expect("an object").extend(members);
    span
}

async fn stored(session: &Session, spans: Vec<Value>) {
    let many = spans.len();
    let answer = session.call("spans_ingest", json!({"spans": spans})).await;
    assert_eq!(answer["inserted"], many);
}

#[tokio::test]
async fn a_stage_is_found_whoever_named_it() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let named = [
        json!({"measure": "retrieval"}),
        json!({"node_type": "rerank", "measure": "model"}),
        json!({"attributes": {"gen_ai.operation.name": "rerank"}}),
        json!({"attributes": {"openinference.span.kind": "Retriever"}}),
        json!({"attributes": {"nodeai.rag.stage": "retrieval"}}),
    ];
    let others = [
        json!({"attributes": {"gen_ai.operation.name": "chat"}}),
        json!({"measure": "tool"}),
    ];
    let all = named.iter().chain(&others).zip(1..);
    stored(
        &session,
        all.map(|(more, n)| span(n, n, more.clone())).collect(),
    )
    .await;
    let stage = json!({"field": "stage", "op": "=", "values": ["any"]});
    let ask = |term: Value| json!({"terms": [term], "limit": 50});
    let found = session.call("traces_search", ask(stage.clone())).await;
    let mut ids: Vec<&str> = found["traces"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["trace_id"].as_str())
        .collect();
    ids.sort_unstable();
    let want: Vec<String> = (1..=5).map(trace_id).collect();
    assert_eq!(ids, want);
    let mut not = stage;
    not["not"] = json!(true);
    let rest = session.call("traces_search", ask(not)).await;
    assert_eq!(rest["traces"].as_array().map(Vec::len), Some(2), "{rest}");
    // The other terms are what they were.
    let kind = json!({"field": "kind", "op": "=", "values": ["run"]});
    assert_eq!(
        session.call("traces_search", ask(kind)).await["traces"],
        json!([])
    );
}

async fn objective(session: &Session, row: Value) -> String {
    let slo = id();
    let mut full = json!({"name": "s", "objective": 0.9, "window_days": 7, "indicator": "success"});
    let members = row.as_object().expect("an object").clone();
    full.as_object_mut().expect("an object").extend(members);
    let write = json!({"table": "slos", "id": slo, "row": full});
    assert_eq!(session.call("write", write).await["outcome"], "done");
    slo
}

#[tokio::test]
async fn an_objective_counts_good_runs() {
    let db = Database::fresh().await;
    let (one, other) = (db.tenant("a").await, db.tenant("b").await);
    let session = one.session(&db).await;
    let run = |n: u64, ago_hours: i64, took_ms: i64, status: &str| {
        span(
            n,
            n,
            json!({"measure": "run", "status": status, "duration_us": took_ms * 1_000,
            "start_us": now_us() - ago_hours * 3_600_000_000 - 60_000_000}),
        )
    };
    let runs = vec![
        run(1, 0, 100, "ok"),
        run(2, 0, 900, "ok"),
        run(3, 0, 100, "error"),
        run(4, 4, 100, "ok"),
        run(5, 50, 2_000, "ok"),
        // Outside of the week, and no run.
        run(6, 24 * 9, 100, "error"),
        span(
            7,
            7,
            json!({"measure": "node", "status": "error", "node_id": "x"}),
        ),
    ];
    stored(&session, runs).await;
    let success = objective(&session, json!({})).await;
    let status = session.call("slo_status", json!({"id": success})).await;
    assert_eq!((&status["total"], &status["good"]), (&json!(5), &json!(4)));
    let recent = |window: &str| {
        (
            status["recent"][window]["total"].clone(),
            status["recent"][window]["good"].clone(),
        )
    };
    assert_eq!(recent("1h"), (json!(3), json!(2)));
    assert_eq!(recent("6h"), (json!(4), json!(3)));
    assert_eq!(recent("3d"), (json!(5), json!(4)));
    let latency = json!({"indicator": "latency", "threshold_ms": 500});
    let latency = objective(&session, latency).await;
    let status = session.call("slo_status", json!({"id": latency})).await;
    assert_eq!((&status["total"], &status["good"]), (&json!(5), &json!(3)));
    assert_eq!(status["recent"]["3d"], json!({"total": 5, "good": 3}));
    // Neither another tenant's objective nor a rule that the row does not keep.
    let stranger = other.session(&db).await;
    let theirs = json!({"id": success, "org_id": one.org});
    assert_eq!(stranger.call("slo_status", theirs).await, Value::Null);
    let odd = json!({"name": "s", "objective": 0.9, "window_days": 7, "indicator": "success", "threshold_ms": 5});
    let write = json!({"table": "slos", "id": id(), "row": odd});
    assert_eq!(session.call("write", write).await["outcome"], "invalid");
}

/// A link of a trace with a secret in its input; the session is its owner's.
async fn link(session: &Session, trace: u64, hash: &str, more: Value) -> Value {
    let share = id();
    let mut row = json!({"trace_id": trace_id(trace), "token_hash": hash});
    let members = more.as_object().expect("an object").clone();
    row.as_object_mut().expect("an object").extend(members);
    let args = json!({"op": "insert", "id": share, "trace_id": trace_id(trace), "row": row});
    session
        .call("command", json!({"do": "share_trace", "args": args}))
        .await
}

#[tokio::test]
async fn a_link_shows_one_trace_and_of_it_what_it_may() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let secret =
        json!({"input.value": "s3cr3t", "user.id": "bob", "gen_ai.operation.name": "chat"});
    let events = json!([{"name": "console", "at_us": 1, "attributes": {"message": "s3cr3t"}}]);
    let full = json!({"attributes": secret, "events": events, "status_message": "s3cr3t", "end_user": "bob",
        "session_id": "bobs"});
    stored(&session, vec![span(1, 1, full.clone()), span(2, 2, full)]).await;
    for (hash, more) in [
        ("bare", json!({})),
        ("whole", json!({"payloads": true})),
        ("past", json!({"expires_at": "2020-01-01T00:00:00Z"})),
    ] {
        assert_eq!(
            link(&session, 1, hash, more).await["outcome"],
            "done",
            "{hash}"
        );
    }
    let missing = link(&session, 9, "none", json!({})).await;
    assert_eq!(missing["outcome"], "missing");

    let visitor = db.session().await;
    visitor
        .admit(json!({"kind": "api_key", "key_hash": "unknown"}))
        .await;
    let open = async |hash: &str| {
        visitor
            .call("trace_open", json!({"token_hash": hash, "ip": "::1"}))
            .await
    };
    let bare = open("bare").await;
    assert_eq!(bare["trace"]["trace"]["trace_id"], trace_id(1));
    assert_eq!(bare["trace"]["spans"].as_array().map(Vec::len), Some(1));
    let shown = &bare["trace"]["spans"][0];
    assert_eq!(
        shown["attributes"],
        json!({"gen_ai.operation.name": "chat"})
    );
    assert_eq!(shown["events"], json!([{"name": "console", "at_us": 1}]));
    let text = bare.to_string();
    assert!(!text.contains("s3cr3t") && !text.contains("bob"), "{text}");
    let whole = open("whole").await;
    assert_eq!(
        whole["trace"]["spans"][0]["attributes"]["input.value"],
        "s3cr3t"
    );
    assert!(!whole.to_string().contains("bob"), "{whole}");
    assert_eq!(whole["rate"]["policy"], "links");
    for hash in ["past", "none", "other"] {
        assert_eq!(open(hash).await["trace"], Value::Null, "{hash}");
    }
}

#[tokio::test]
async fn nobody_shares_or_lists_anothers_trace() {
    let db = Database::fresh().await;
    let (one, other) = (db.tenant("a").await, db.tenant("b").await);
    let (owner, stranger) = (one.session(&db).await, other.session(&db).await);
    stored(&owner, vec![span(1, 1, json!({}))]).await;
    assert_eq!(link(&owner, 1, "t", json!({})).await["outcome"], "done");
    assert_eq!(
        link(&stranger, 1, "u", json!({})).await["outcome"],
        "missing"
    );
    let list = json!({"trace_id": trace_id(1), "limit": 10});
    let own = owner.call("trace_shares_of", list.clone()).await;
    assert_eq!(own.as_array().map(Vec::len), Some(1));
    assert!(!own.to_string().contains("token"), "{own}");
    let mut theirs = list;
    theirs["org_id"] = json!(one.org);
    assert_eq!(stranger.call("trace_shares_of", theirs).await, Value::Null);
    // Not by the general write either.
    let row = json!({"trace_id": trace_id(1), "token_hash": "v"});
    let write = json!({"table": "trace_shares", "org_id": one.org, "id": id(), "row": row});
    assert_eq!(stranger.call("write", write).await["outcome"], "forbidden");
}
