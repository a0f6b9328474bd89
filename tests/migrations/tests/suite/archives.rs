//! Retention waits for days that somebody keeps, and for nobody who has stopped.

use migrations_tests::{Database, Session, id};
use serde_json::{Value, json};
use tokio_postgres::Client;

/// A span of ten days ago.
async fn old_span(session: &Session, org: &str) {
    let at = jiff_us() - 10 * 86_400_000_000;
    let trace = id().replace('-', "");
    let span = json!({"trace_id": trace, "span_id": &trace[..16], "name": "s", "status": "ok", "start_us": at, "duration_us": 1});
    let stored = session
        .call("spans_ingest", json!({"org_id": org, "spans": [span]}))
        .await;
    assert_eq!(stored["inserted"], 1, "{stored}");
}

fn jiff_us() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.expect("a clock").as_micros()).expect("a time")
}

async fn housekeeping(owner: &Client) -> Value {
    let row = owner
        .query_one("SELECT nodeai.housekeeping('{}')", &[])
        .await;
    row.expect("housekeeping").get(0)
}

async fn ask(owner: &Client, function: &str, args: Value) -> Value {
    let sql = format!("SELECT to_jsonb(public.{function}($1))");
    let row = owner.query_one(&sql, &[&args]).await.expect(function);
    row.get::<_, Option<Value>>(0).unwrap_or(Value::Null)
}

async fn spans(owner: &Client) -> i64 {
    let row = owner
        .query_one("SELECT count(*) FROM public.spans", &[])
        .await;
    row.expect("a count").get(0)
}

#[tokio::test]
async fn retention_waits_for_whoever_keeps_days() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let a = tenant.session(&db).await;
    let owner = db.owner().await;
    owner
        .execute("UPDATE public.organizations SET retention_days = 5", &[])
        .await
        .expect("a setting");
    old_span(&a, &tenant.org).await;
    let claim = json!({"backend": "s3", "lease_us": 60_000_000});
    let day = ask(&owner, "archive_claim", claim.clone()).await;
    assert_eq!(day["org_id"], tenant.org.as_str(), "{day}");
    assert_eq!(
        ask(&owner, "archive_claim", claim.clone()).await,
        Value::Null,
        "one keeper at a time"
    );

    let kept = housekeeping(&owner).await;
    assert_eq!(
        (&kept["held_from"], spans(&owner).await),
        (&day["day"], 1),
        "{kept}"
    );

    let read =
        json!({"id": day["id"], "lease_token": day["lease_token"], "lease_us": 1, "most": 10});
    let page = ask(&owner, "archive_read", read).await;
    assert_eq!(page["spans"].as_array().map(Vec::len), Some(1), "{page}");
    let finish = |token: i64, spans: i64| json!({"id": day["id"], "lease_token": token, "spans": spans, "size_bytes": 1, "sha256": "0".repeat(64)});
    assert_eq!(
        ask(&owner, "archive_finish", finish(7, 1)).await,
        false,
        "of another keeper"
    );
    old_span(&a, &tenant.org).await;
    assert_eq!(
        ask(&owner, "archive_finish", finish(1, 1)).await,
        false,
        "one came meanwhile"
    );
    assert_eq!(spans(&owner).await, 2);
    let again = ask(&owner, "archive_claim", claim).await;
    assert_eq!(
        (&again["id"], &again["lease_token"]),
        (&day["id"], &json!(2))
    );
    assert_eq!(ask(&owner, "archive_finish", finish(2, 2)).await, true);
    assert_eq!(housekeeping(&owner).await["held_from"], Value::Null);
    assert_eq!(spans(&owner).await, 0);
}

#[tokio::test]
async fn retention_waits_for_nobody_who_stopped_keeping() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let a = tenant.session(&db).await;
    let owner = db.owner().await;
    let claim = json!({"backend": "s3", "lease_us": 1});
    ask(&owner, "archive_claim", claim).await;
    let since = "UPDATE nodeai.archive_keeper SET seen_at = now() - interval '8 days';
        UPDATE public.organizations SET retention_days = 5";
    owner.batch_execute(since).await.expect("a week");
    old_span(&a, &tenant.org).await;
    assert_eq!(housekeeping(&owner).await["held_from"], Value::Null);
    assert_eq!(spans(&owner).await, 0);
}
