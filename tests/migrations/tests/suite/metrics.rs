//! Metrics and health: sums that equal the spans', percentiles within 1 %, errors by what failed, one's own only.

use migrations_tests::{Database, Session};
use serde_json::{Value, json};

/// 2026-11-24T10:00:00Z
const START_US: i64 = 1_795_514_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
const CALLS: i64 = 600;

fn took_us(i: i64) -> i64 {
    1_000 + i * i
}

/// A model call: every tenth fails, with a message that differs in its number alone; three sessions.
fn call(i: i64) -> Value {
    let failed = i % 10 == 0;
    json!({"trace_id": format!("{:032x}", i + 1), "span_id": format!("{:016x}", i + 1), "name": "chat m", "kind": "client",
        "node_id": "say", "node_type": "llm", "status": if failed { "error" } else { "ok" },
        "status_message": failed.then(|| format!("request {i} timed out after {i}.5 s")),
        "start_us": START_US + (i % 3) * HOUR_US, "duration_us": took_us(i), "provider": "p", "model": "m",
        "prompt_tokens": 100, "completion_tokens": 10, "cost_pusd": 9_000_000_000_000_000_i64, "session_id": format!("s{}", i % 3),
        "attributes": {"gen_ai.operation.name": "chat", "error.type": if failed { json!("timeout") } else { Value::Null }}})
}

async fn stored(session: &Session) {
    let spans: Vec<Value> = (0..CALLS).map(call).collect();
    let answer = session.call("spans_flush", json!({"spans": spans})).await;
    assert_eq!(answer["inserted"], CALLS);
}

fn ask(more: Value) -> Value {
    let mut args = json!({"from_us": START_US, "to_us": START_US + 5 * HOUR_US, "step": "total", "of": "calls", "limit": 100});
    let map = args.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    args
}

#[tokio::test]
async fn sums_and_percentiles_are_those_of_the_spans() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    stored(&session).await;
    let rows = session
        .call("metrics_query", ask(json!({"by": ["model"]})))
        .await;
    let row = &rows[0];
    assert_eq!(row["key"], json!({"model": "m"}), "{rows}");
    assert_eq!(
        (&row["calls"], &row["errors"]),
        (&json!(CALLS), &json!(CALLS / 10))
    );
    assert_eq!(
        (&row["prompt_tokens"], &row["completion_tokens"]),
        (&json!(60_000), &json!(6_000))
    );
    // More than a number of JSON holds exactly, so it is text.
    assert_eq!(row["cost_pusd"], "5400000000000000000");
    for (name, rank) in [("p50_us", 299), ("p95_us", 569), ("p99_us", 593)] {
        let (ours, exact) = (row[name].as_f64().expect("a number"), took_us(rank) as f64);
        assert!(
            (ours - exact).abs() <= 0.011 * exact,
            "{name}: {ours}, {exact}"
        );
    }
    let hours = session
        .call("metrics_query", ask(json!({"step": "hour"})))
        .await;
    let hours: Vec<_> = hours
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row["calls"].as_i64())
        .collect();
    assert_eq!(hours, [Some(200); 3]);
    let sessions = session
        .call("metrics_query", ask(json!({"by": ["session"]})))
        .await;
    let keys: Vec<_> = sessions
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row["key"]["session"].as_str())
        .collect();
    assert_eq!(keys, [Some("s0"), Some("s1"), Some("s2")]);
    let none = session
        .call("metrics_query", ask(json!({"filter": {"model": "other"}})))
        .await;
    assert_eq!(none, json!([]));
}

#[tokio::test]
async fn errors_that_differ_in_numbers_are_one_and_nodes_have_samples() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    stored(&session).await;
    let groups = session.call("error_groups", ask(json!({}))).await;
    assert_eq!(groups.as_array().map(Vec::len), Some(1), "{groups}");
    assert_eq!(groups[0]["message"], "request <n> timed out after <n> s");
    assert_eq!(
        (&groups[0]["count"], &groups[0]["kind"]),
        (&json!(60), &json!("timeout"))
    );
    let slowest = session
        .call("nodes_ranked", ask(json!({"sort": "slowest"})))
        .await;
    assert_eq!(slowest[0]["samples"][0], format!("{CALLS:032x}"));
    let failing = session
        .call("nodes_ranked", ask(json!({"sort": "failing"})))
        .await;
    assert_eq!(
        (&failing[0]["node_id"], &failing[0]["errors"]),
        (&json!("say"), &json!(60))
    );
    let mix = json!({"from": "2026-11-24", "to": "2026-11-25"});
    assert_eq!(session.call("forecast_mix", mix).await[0]["calls"], CALLS);
}

#[tokio::test]
async fn nobody_sees_anothers() {
    let db = Database::fresh().await;
    let (one, other) = (db.tenant("a").await, db.tenant("b").await);
    stored(&one.session(&db).await).await;
    let session = other.session(&db).await;
    let mut of_the_first = ask(json!({"sort": "failing"}));
    of_the_first["org_id"] = json!(one.org);
    for function in [
        "metrics_query",
        "nodes_ranked",
        "error_groups",
        "health_versions",
    ] {
        assert_eq!(
            session.call(function, of_the_first.clone()).await,
            json!([]),
            "{function}"
        );
    }
}
