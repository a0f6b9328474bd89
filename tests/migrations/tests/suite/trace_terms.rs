//! Terms of a trace's attributes: a search looks into the spans of those traces alone that may have what is sought.

use migrations_tests::{Database, Session};
use serde_json::{Value, json};

const NOW_US: &str = "SELECT (extract(epoch FROM now()) * 1000000)::bigint";

fn span(trace: &str, id: u8, at_us: i64, terms: Value) -> Value {
    json!({"trace_id": trace.repeat(32), "span_id": format!("{id:016x}"), "name": "one", "start_us": at_us, "duration_us": 5,
        "attributes": {"k": "v"}, "terms": terms})
}

async fn found(session: &Session, more: Value) -> Vec<String> {
    let mut term = json!({"field": "attr", "key": "k", "op": "=", "values": ["v"]});
    for (name, value) in more.as_object().expect("an object") {
        term[name] = value.clone();
    }
    let page = session
        .call("traces_search", json!({"terms": [term]}))
        .await;
    let traces = page["traces"].as_array().expect("traces").iter();
    let mut ids: Vec<String> = traces
        .map(|trace| trace["trace_id"].as_str().expect("an id")[..1].to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn traces_without_a_term_are_passed_over_and_unknown_ones_are_not() {
    let db = Database::fresh().await;
    let me = db.tenant("a").await.session(&db).await;
    let at_us = me.count(NOW_US).await;
    let known = span("a", 1, at_us, json!([1, 2]));
    let unknown = span("b", 2, at_us, Value::Null);
    me.call("spans_ingest", json!({"spans": [known, unknown]}))
        .await;
    let later = span("a", 3, at_us, json!([2, 7]));
    me.call("spans_ingest", json!({"spans": [later]})).await;
    // Both traces have the attribute; only what is said of the first one's terms differs.
    for (more, wanted) in [
        (json!({}), vec!["a", "b"]),
        (json!({"terms": [1]}), vec!["a", "b"]),
        (json!({"terms": [9, 7]}), vec!["a", "b"]),
        (json!({"terms": [9]}), vec!["b"]),
        (json!({"terms": [9], "not": true}), vec![]),
    ] {
        assert_eq!(found(&me, more.clone()).await, wanted, "{more}");
    }
    // Part of a trace without terms makes all of it unknown.
    let part = span("a", 4, at_us, Value::Null);
    me.call("spans_ingest", json!({"spans": [part]})).await;
    assert_eq!(found(&me, json!({"terms": [9]})).await, ["a", "b"]);
}
