//! Spans and partitions: flushed twice stored once, replayed from the log, moved and dropped by the day.

use migrations_tests::{Database, id};
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// 2026-11-24T23:59:59.5Z and half a second more: the next day.
const LATE_US: i64 = 1_795_564_799_500_000;

fn span(number: u8, start_us: i64) -> Value {
    json!({"trace_id": TRACE, "span_id": format!("{number:016x}"), "name": format!("span {number}"), "status": "ok",
           "start_us": start_us, "end_us": start_us + 1000})
}

#[tokio::test]
async fn a_retried_flush_changes_nothing() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let batch = json!({"spans": [span(1, LATE_US), span(2, LATE_US)]});
    assert_eq!(
        session.call("spans_flush", batch.clone()).await,
        json!({"inserted": 2, "skipped": 0})
    );
    let before = session.call("trace_tree", json!({"trace_id": TRACE})).await;
    assert_eq!(
        session.call("spans_flush", batch).await,
        json!({"inserted": 0, "skipped": 2})
    );
    assert_eq!(
        session.call("trace_tree", json!({"trace_id": TRACE})).await,
        before
    );
    assert_eq!(before["trace"]["span_count"], 2);
    session
        .call("spans_flush", json!({"spans": [span(3, LATE_US)]}))
        .await;
    let after = session.call("trace_tree", json!({"trace_id": TRACE})).await;
    assert_eq!(after["trace"]["span_count"], 3);
}

#[tokio::test]
async fn a_trace_over_midnight_is_one_tree() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    session
        .call(
            "spans_flush",
            json!({"spans": [span(1, LATE_US), span(2, LATE_US + 600_000)]}),
        )
        .await;
    assert_eq!(
        session
            .count("SELECT count(DISTINCT day) FROM public.spans")
            .await,
        2
    );
    let tree = session.call("trace_tree", json!({"trace_id": TRACE})).await;
    let names: Vec<_> = tree["spans"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|span| span["name"].clone())
        .collect();
    assert_eq!(names, ["span 1", "span 2"]);
}

#[tokio::test]
async fn a_trace_of_two_requests_over_midnight_is_listed_once() {
    for order in [[1, 2], [2, 1]] {
        let db = Database::fresh().await;
        let session = db.tenant("a").await.session(&db).await;
        for number in order {
            let mut span = span(number, LATE_US + (i64::from(number) - 1) * 600_000);
            span["model"] = json!("m");
            span["cost_pusd"] = json!(5);
            session.call("spans_flush", json!({"spans": [span]})).await;
        }
        let found = session.call("traces_search", json!({})).await;
        assert_eq!(found["traces"].as_array().map(Vec::len), Some(1));
        let tree = session.call("trace_tree", json!({"trace_id": TRACE})).await;
        for trace in [&found["traces"][0], &tree["trace"]] {
            let sums = ["span_count", "cost_pusd", "start_us", "duration_us"];
            assert_eq!(
                sums.map(|name| trace[name].as_i64()),
                [2, 10, LATE_US, 601_000].map(Some),
                "{order:?}"
            );
        }
        assert_eq!(tree["spans"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            session
                .count("SELECT count(DISTINCT day) FROM public.spans")
                .await,
            2
        );
    }
}

#[tokio::test]
async fn requests_about_the_same_traces_do_not_wait_in_a_circle() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let (one, other) = (tenant.session(&db).await, tenant.session(&db).await);
    let batch = |first: u8, backwards: bool| {
        let mut traces: Vec<u8> = (1..=40).collect();
        if backwards {
            traces.reverse();
        }
        let spans: Vec<Value> = traces
            .into_iter()
            .map(|trace| {
                let mut span = span(first, LATE_US);
                span["trace_id"] = json!(format!("{trace:032x}"));
                span
            })
            .collect();
        json!({"spans": spans})
    };
    for round in 0..20 {
        let (a, b) = (round * 2 + 1, round * 2 + 2);
        tokio::join!(
            one.call("spans_flush", batch(a, false)),
            other.call("spans_flush", batch(b, true))
        );
    }
    let found = one.call("traces_search", json!({"limit": 100})).await;
    let traces = found["traces"].as_array().expect("traces");
    assert_eq!(traces.len(), 40);
    assert!(traces.iter().all(|trace| trace["span_count"] == 40));
}

#[tokio::test]
async fn traces_come_in_the_order_in_which_they_were_stored() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let hour_us = 3_600_000_000;
    let began = session.call("traces_stored", json!({})).await["now_us"].clone();
    // The later it is stored, the earlier it began.
    let ids: Vec<String> = (1..=5).map(|n| format!("{n:032x}")).collect();
    for (n, id) in (0..).zip(&ids) {
        let mut span = span(1, LATE_US - n * hour_us);
        span["trace_id"] = json!(id);
        session.call("spans_flush", json!({"spans": [span]})).await;
    }
    let mut got = Vec::new();
    let mut after = Value::Null;
    loop {
        let args = json!({"since_us": began, "after": after, "limit": 2});
        let page = session.call("traces_stored", args).await;
        let traces = page["traces"].as_array().expect("traces");
        assert!(traces.len() <= 2);
        let mut ids: Vec<String> = traces
            .iter()
            .filter_map(|trace| Some(trace["trace_id"].as_str()?.to_owned()))
            .collect();
        ids.sort();
        got.extend(ids);
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(got, ids);
    // One that changes comes once more, and one that the terms do not hold for does not.
    let now = session.call("traces_stored", json!({})).await["now_us"].clone();
    let mut more = span(2, LATE_US);
    more["trace_id"] = json!(ids[0]);
    session.call("spans_flush", json!({"spans": [more]})).await;
    let spans = |count: i64| {
        let term = json!({"field": "spans", "op": "=", "values": [count]});
        json!({"since_us": now, "terms": [term]})
    };
    let found = session.call("traces_stored", spans(2)).await;
    assert_eq!(found["traces"][0]["trace_id"], ids[0].as_str());
    let found = session.call("traces_stored", spans(1)).await;
    assert_eq!(found["traces"], json!([]));
    let stranger = db.tenant("b").await.session(&db).await;
    let args = json!({"since_us": began});
    assert_eq!(
        stranger.call("traces_stored", args).await["traces"],
        json!([])
    );
}

#[tokio::test]
async fn text_is_found_in_attributes_that_are_json() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    // As Python's json.dumps writes it, and as JavaScript's JSON.stringify does.
    let python = r#"[{"content": "\u3053\u3093 \ud83d\ude00 \"q\"\n\u00e9"}]"#;
    let script = "[{\"content\":\"日本 \\\"z\\\"\"}]";
    let mut one = span(1, LATE_US);
    one["attributes"] = json!({"gen_ai.output.messages": python, "other": script});
    // Long enough for a row of its own.
    let mut two = span(2, LATE_US);
    let long = format!("{} \\u4e16\\u754c", "x".repeat(2_000));
    two["attributes"] = json!({"gen_ai.output.messages": long});
    session
        .call("spans_flush", json!({"spans": [one, two]}))
        .await;
    let found = async |text: &str| {
        let term = json!({"field": "text", "op": "=", "values": [text]});
        let found = session
            .call("traces_search", json!({"terms": [term]}))
            .await;
        found["traces"].as_array().map(Vec::len)
    };
    for text in ["こん", "😀 \"q\"\n", "é", "日本 \"z", "世界", "span 2"] {
        assert_eq!(found(text).await, Some(1), "{text}");
    }
    for text in ["んこ", "u_053", "%", "e9x"] {
        assert_eq!(found(text).await, Some(0), "{text}");
    }
}

#[tokio::test]
async fn two_tenants_may_share_a_trace_id_and_not_its_spans() {
    let db = Database::fresh().await;
    let (a, b) = (
        db.tenant("a").await.session(&db).await,
        db.tenant("b").await.session(&db).await,
    );
    a.call("spans_flush", json!({"spans": [span(1, LATE_US)]}))
        .await;
    assert_eq!(
        b.call("trace_tree", json!({"trace_id": TRACE})).await,
        Value::Null
    );
    b.call(
        "spans_flush",
        json!({"spans": [span(1, LATE_US), span(2, LATE_US)]}),
    )
    .await;
    let tree = a.call("trace_tree", json!({"trace_id": TRACE})).await;
    assert_eq!(tree["spans"].as_array().map(Vec::len), Some(1));
}

/// One resource with one span, as the log keeps it: 64-bit numbers as texts.
fn otlp(org: Option<&str>) -> Value {
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let resource: Vec<_> = org
        .map(|org| attribute("nodeai.org_id", json!({"stringValue": org})))
        .into_iter()
        .collect();
    json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"spans": [{
        "traceId": TRACE, "spanId": "00f067aa0ba902b7", "parentSpanId": "", "name": "chat m", "kind": 3,
        "startTimeUnixNano": (LATE_US * 1000).to_string(), "endTimeUnixNano": (LATE_US * 1000 + 2_500_000).to_string(),
        "attributes": [
            attribute("gen_ai.request.model", json!({"stringValue": "m"})),
            attribute("gen_ai.usage.input_tokens", json!({"intValue": "12"})),
            attribute("nodeai.cost_pusd", json!({"intValue": "9007199254740993"})),
            attribute("list", json!({"arrayValue": {"values": [{"boolValue": true}, {"doubleValue": 0.5}]}})),
        ],
        "events": [{"timeUnixNano": (LATE_US * 1000).to_string(), "name": "e", "attributes": []}],
        "status": {"code": 2, "message": "no"},
    }]}]}]})
}

#[tokio::test]
async fn the_log_brings_spans_back_once_and_whole() {
    let db = Database::fresh().await;
    let tenant = db.tenant("a").await;
    let owner = db.owner().await;
    let replay = async |document: Value| -> Value {
        owner
            .query_one("SELECT nodeai.replay_spans($1)", &[&document])
            .await
            .expect("counts")
            .get(0)
    };
    assert_eq!(
        replay(otlp(None)).await,
        json!({"inserted": 0, "skipped": 1}),
        "nobody's span"
    );
    assert_eq!(
        replay(otlp(Some(&id()))).await,
        json!({"inserted": 0, "skipped": 1}),
        "no such organisation"
    );
    assert_eq!(
        replay(otlp(Some(&tenant.org))).await,
        json!({"inserted": 1, "skipped": 0})
    );
    assert_eq!(
        replay(otlp(Some(&tenant.org))).await,
        json!({"inserted": 0, "skipped": 1})
    );
    assert_eq!(
        replay(otlp(None)).await,
        json!({"inserted": 0, "skipped": 1}),
        "its trace is known by now"
    );
    let tree = tenant
        .session(&db)
        .await
        .call("trace_tree", json!({"trace_id": TRACE}))
        .await;
    let span = &tree["spans"][0];
    assert_eq!(span["kind"], "client");
    assert_eq!(
        (&span["status"], &span["status_message"]),
        (&json!("error"), &json!("no"))
    );
    assert_eq!(
        (&span["start_us"], &span["duration_us"]),
        (&json!(LATE_US), &json!(2500))
    );
    assert_eq!(
        (&span["model"], &span["prompt_tokens"]),
        (&json!("m"), &json!(12))
    );
    assert_eq!(
        span["cost_pusd"],
        json!(9_007_199_254_740_993_i64),
        "int64 beyond what a double holds"
    );
    assert_eq!(span["attributes"], json!({"list": [true, 0.5]}));
    assert_eq!(span["events"][0]["at_us"], json!(LATE_US));
}

#[tokio::test]
async fn rows_of_a_day_without_partition_move_into_it_and_go_with_it() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let far = LATE_US + 400 * 86_400_000_000;
    session
        .call("spans_flush", json!({"spans": [span(1, far)]}))
        .await;
    let owner = db.owner().await;
    let place = async || -> String {
        owner
            .query_one("SELECT tableoid::regclass::text FROM public.spans", &[])
            .await
            .expect("a span")
            .get(0)
    };
    assert_eq!(place().await, "spans_default");
    owner
        .batch_execute("SELECT nodeai.add_partitions('2027-12-28', '2027-12-30')")
        .await
        .expect("partitions");
    assert_eq!(place().await, "spans_20271229");
    assert_eq!(session.count("SELECT count(*) FROM public.spans").await, 1);
    let dropped = owner
        .query_one("SELECT nodeai.drop_partitions('2027-12-30')", &[])
        .await
        .expect("a count");
    assert!(dropped.get::<_, i32>(0) > 3);
    assert_eq!(session.count("SELECT count(*) FROM public.spans").await, 0);
    assert_eq!(
        session.call("trace_tree", json!({"trace_id": TRACE})).await,
        Value::Null
    );
}

#[tokio::test]
async fn ids_that_are_not_so_many_hex_digits_are_refused() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let flush = async |member: &str, id: String| {
        let mut span = json!({"trace_id": "a".repeat(32), "span_id": "b".repeat(16), "name": "s", "status": "ok",
            "start_us": LATE_US, "end_us": LATE_US + 1});
        span[member] = json!(id);
        session
            .try_call("spans_flush", json!({"spans": [span]}))
            .await
    };
    for (member, digits) in [("trace_id", 32), ("span_id", 16), ("parent_span_id", 16)] {
        for wrong in ["a".repeat(digits - 1), "a".repeat(digits + 1)] {
            let error = flush(member, wrong).await.expect_err("a wrong length");
            assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{member}");
        }
        for wrong in ["A", "g", " ", "\u{e9}"] {
            let id = format!("{}{wrong}", "a".repeat(digits - wrong.len()));
            let error = flush(member, id).await.expect_err("no hex digit");
            assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{member}");
        }
        flush(member, "0123456789abcdef".repeat(digits / 16))
            .await
            .expect("an id");
    }
}

#[tokio::test]
async fn nobody_stores_spans_for_an_organisation_of_others() {
    let db = Database::fresh().await;
    let (own, other) = (db.tenant("a").await, db.tenant("b").await);
    let session = own.session(&db).await;
    let spans = json!([{"trace_id": "a".repeat(32), "span_id": "b".repeat(16), "name": "s", "status": "ok",
        "parent_span_id": "c".repeat(16), "start_us": LATE_US, "end_us": LATE_US + 1}]);
    for function in ["spans_flush", "spans_ingest"] {
        let request = json!({"org_id": other.org, "spans": spans});
        let error = session
            .try_call(function, request)
            .await
            .expect_err("refused");
        assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{function}"
        );
    }
    // The privileged body itself asks, whoever calls it and how.
    let direct = format!(
        "SELECT nodeai.put_own_spans('{}', '[]', '{spans}')",
        other.org
    );
    assert_eq!(
        session.touch(&direct).await,
        Err(SqlState::INSUFFICIENT_PRIVILEGE)
    );
    let owner = db.owner().await;
    let stored = "SELECT count(*) FROM public.spans";
    let count: i64 = owner.query_one(stored, &[]).await.expect("a count").get(0);
    assert_eq!(count, 0);
    // The own organisation, with a span that says no kind.
    session
        .call("spans_flush", json!({"org_id": own.org, "spans": spans}))
        .await;
    assert_eq!(session.count(stored).await, 1);
    session
        .client()
        .batch_execute("SELECT set_config('request.jwt.claims', '', false)")
        .await
        .expect("claims gone");
    let request = json!({"org_id": own.org, "spans": spans});
    assert!(session.try_call("spans_flush", request).await.is_err());
}
