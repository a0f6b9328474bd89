//! Costs: sums that count every call once, pages, heaps of one price, evidence; and nothing of another tenant's.

use migrations_tests::{Database, Session};
use serde_json::{Value, json};

/// 2026-11-24T13:00:00Z.
const AT_US: i64 = 1_795_525_200_000_000;
const DAY_US: i64 = 86_400_000_000;

/// A call of a model: even ones of gpt-4o, odd ones of gemini; every second gemini's prompt is long.
fn call(n: i64) -> Value {
    let (model, provider) = match n % 2 {
        0 => ("gpt-4o", "openai"),
        _ => ("gemini-2.5-pro", "gcp.gemini"),
    };
    let tags = match n % 3 {
        0 => json!(["a", "b"]),
        _ => json!([]),
    };
    json!({"trace_id": format!("{:032x}", n / 4 + 1), "span_id": format!("{:016x}", n + 1), "name": "chat x", "kind": "client",
        "status": if n % 10 == 0 { "error" } else { "ok" }, "start_us": AT_US + n * 600_000_000, "duration_us": 1_000,
        "node_id": format!("n{}", n % 3), "node_type": "llm", "model": model, "provider": provider,
        "prompt_tokens": if n % 4 == 1 { 200_001 } else { 2_000 }, "completion_tokens": 100, "cache_read_tokens": 500,
        "cost_pusd": 1_000 + n, "priced": true, "tags": tags, "attributes": {"gen_ai.input.messages": format!("hello {}", n % 5),
        "gen_ai.response.finish_reasons": if n % 7 == 0 { json!(["length"]) } else { json!(["stop"]) }}})
}

async fn filled(session: &Session) {
    let spans: Vec<Value> = (0..100).map(call).collect();
    session.call("spans_flush", json!({"spans": spans})).await;
}

fn args(more: Value) -> Value {
    let mut args = json!({"from_us": AT_US, "to_us": AT_US + DAY_US});
    let map = args.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    args
}

fn sum(rows: &Value, member: &str) -> i64 {
    let rows = rows.as_array().expect("rows");
    let number = |row: &Value| {
        row[member]
            .as_i64()
            .or_else(|| row[member].as_str()?.parse().ok())
    };
    rows.iter().filter_map(number).sum()
}

#[tokio::test]
async fn every_dimension_adds_up_to_the_same_total() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    filled(&session).await;
    let all: i64 = (0..100).map(|n| 1_000 + n).sum();
    for by in [
        "model",
        "provider",
        "workflow",
        "node",
        "user",
        "day",
        "prompt_version",
        "session",
        "end_user",
        "tier",
        "cache_state",
    ] {
        let found = session
            .call("cost_breakdown", args(json!({"by": by, "limit": 100})))
            .await;
        assert_eq!(found["total"]["pusd"], all.to_string(), "{by}");
        assert_eq!(
            (sum(&found["rows"], "pusd"), sum(&found["rows"], "calls")),
            (all, 100),
            "{by}"
        );
    }
    // A call with two tags is in both rows, and once in the total.
    let tags = session
        .call("cost_breakdown", args(json!({"by": "tag", "limit": 100})))
        .await;
    assert_eq!(tags["total"]["calls"], 100);
    assert_eq!(sum(&tags["rows"], "calls"), 100 + 34);
}

#[tokio::test]
async fn pages_of_a_breakdown_join_to_the_whole() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    filled(&session).await;
    let whole = session
        .call("cost_breakdown", args(json!({"by": "node", "limit": 100})))
        .await;
    let (mut joined, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = session
            .call(
                "cost_breakdown",
                args(json!({"by": "node", "limit": 1, "after": after})),
            )
            .await;
        let Some(row) = page["rows"].get(0) else {
            break;
        };
        after = json!({"pusd": row["pusd"], "key": row["key"]});
        joined.push(row.clone());
    }
    assert_eq!(json!(joined), whole["rows"]);
    assert_eq!(joined.len(), 3);
}

#[tokio::test]
async fn heaps_never_cross_a_threshold() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    filled(&session).await;
    let heaps = session
        .call(
            "cost_heaps",
            args(json!({"thresholds": [128_000, 200_000], "by_hour": []})),
        )
        .await;
    assert_eq!(sum(&heaps, "calls"), 100);
    for heap in heaps.as_array().expect("heaps") {
        let (longest, calls) = (heap["longest"].as_i64(), heap["calls"].as_i64());
        let prompts = heap["prompt_tokens"].as_i64();
        assert_eq!(
            longest.zip(calls).map(|(longest, calls)| longest * calls),
            prompts,
            "one length here: {heap}"
        );
    }
    let at_limit = session
        .call(
            "cost_heaps",
            args(json!({"thresholds": [2_000, 200_001], "by_hour": []})),
        )
        .await;
    assert_eq!(
        at_limit.as_array().map(Vec::len),
        heaps.as_array().map(Vec::len),
        "a threshold itself is below it"
    );
}

#[tokio::test]
async fn two_times_lie_side_by_side() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    filled(&session).await;
    let half = AT_US + 8 * 3_600_000_000;
    let groups = json!({"against_from_us": AT_US, "against_to_us": half, "from_us": half, "to_us": AT_US + DAY_US});
    let groups = session.call("cost_groups", groups).await;
    let side = |name: &str| {
        let sides: Vec<Value> = groups
            .as_array()
            .expect("groups")
            .iter()
            .map(|group| group[name].clone())
            .collect();
        sum(&json!(sides), "calls")
    };
    assert_eq!((side("before"), side("after")), (48, 52));
}

#[tokio::test]
async fn evidence_names_the_traces_it_rests_on() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    filled(&session).await;
    let evidence = session.call("cost_evidence", args(json!({}))).await;
    let kind = |name: &str| {
        let rows = evidence
            .as_array()
            .expect("evidence")
            .iter()
            .filter(|row| row["kind"] == name);
        let rows: Vec<Value> = rows.cloned().collect();
        assert!(
            rows.iter()
                .all(|row| !row["traces"].as_array().expect("traces").is_empty())
        );
        sum(&json!(rows), "calls")
    };
    // What failed is no repetition.
    assert_eq!((kind("retries"), kind("prompts")), (10, 90));
    assert_eq!(kind("truncations"), 13);
    let (mut seen, mut repeated) = (std::collections::HashSet::new(), 0);
    for n in (0..100).filter(|n| n % 10 != 0) {
        repeated += i64::from(!seen.insert((n % 2, n % 3, n % 5)));
    }
    assert_eq!(kind("duplicates"), repeated);
}

/// One call in each convention that ingest reads.
async fn told(session: &Session, of: Vec<Value>) -> Value {
    let spans = of.into_iter().enumerate().map(|(n, own)| {
        let mut span = json!({"trace_id": format!("{:032x}", n + 1), "span_id": format!("{:016x}", n + 1), "name": "chat x",
            "kind": "client", "status": "ok", "start_us": AT_US + 1_000 * n as i64, "duration_us": 1_000, "model": "m",
            "provider": "p", "prompt_tokens": 10, "completion_tokens": 1, "cost_pusd": 100, "priced": true});
        let fields = span.as_object_mut().expect("an object");
        fields.extend(own.as_object().expect("an object").clone());
        span
    });
    let spans: Vec<Value> = spans.collect();
    session.call("spans_flush", json!({"spans": spans})).await;
    session.call("cost_evidence", args(json!({}))).await
}

fn calls(evidence: &Value, kind: &str) -> i64 {
    let rows = evidence.as_array().expect("evidence").iter();
    let rows: Vec<Value> = rows.filter(|row| row["kind"] == kind).cloned().collect();
    sum(&json!(rows), "calls")
}

#[tokio::test]
async fn evidence_is_found_in_every_convention() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let with = |attributes: Value| json!({"attributes": attributes});
    let cut = [
        json!({"gen_ai.response.finish_reasons": ["length"]}),
        json!({"gen_ai.response.finish_reasons": ["max_tokens"]}),
        json!({"gen_ai.response.finish_reasons": "[\"MAX_TOKENS\"]"}),
        json!({"gen_ai.response.finish_reasons": ["FinishReason.MAX_TOKENS"]}),
        json!({"llm.finish_reason": "max_tokens"}),
        json!({"gen_ai.completion.0.finish_reason": "length"}),
    ];
    let whole = [
        json!({"gen_ai.response.finish_reasons": ["end_turn"], "gen_ai.request.max_tokens": 9}),
        json!({"gen_ai.response.finish_reasons": ["stop"]}),
        json!({"llm.finish_reason": "lengthy"}),
    ];
    let asked = |text: &str| {
        json!({"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": text,
            "llm.input_messages.10.message.content": "x".repeat(2_000), "input.value": format!("{text} at 12:00")})
    };
    let flat = |text: &str| json!({"gen_ai.prompt.0.content": text});
    let repeated = [asked("a"), asked("b"), asked("a"), flat("a"), flat("a")];
    let all = cut.into_iter().chain(whole).chain(repeated);
    let evidence = told(&session, all.map(with).collect()).await;
    assert_eq!(calls(&evidence, "truncations"), 6);
    assert_eq!(calls(&evidence, "duplicates"), 2);
}

#[tokio::test]
async fn a_tier_has_one_name_and_attempts_are_counted() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let tiers = ["", "default", "standard", "auto", "DEFAULT", "batch"];
    let mut all: Vec<Value> = tiers
        .iter()
        .map(|tier| json!({"service_tier": tier}))
        .collect();
    all.push(json!({"service_tier": null}));
    // Attempts at one node: one whose cost is not known, one that cost something, and the last, which is no waste.
    let attempt = |n: i64, own: Value| {
        let mut span = json!({"trace_id": "f".repeat(32), "node_id": "n", "attempt": n, "service_tier": "flex"});
        let fields = span.as_object_mut().expect("an object");
        fields.extend(own.as_object().expect("an object").clone());
        span
    };
    all.push(attempt(
        1,
        json!({"status": "error", "cost_pusd": null, "prompt_tokens": null, "priced": false}),
    ));
    all.push(attempt(2, json!({"status": "error"})));
    all.push(attempt(3, json!({})));
    // The same node in another iteration failed once and for nothing.
    let path = json!({"nodeai.node.path": "loop/1/n"});
    all.push(attempt(
        1,
        json!({"status": "error", "cost_pusd": null, "priced": false, "attributes": path}),
    ));
    let evidence = told(&session, all).await;
    assert_eq!(calls(&evidence, "batchable"), 6);
    assert_eq!(calls(&evidence, "retries"), 2);
    let tiers = session
        .call("cost_breakdown", args(json!({"by": "tier", "limit": 100})))
        .await;
    let rows = tiers["rows"].as_array().expect("rows").iter();
    let mut counted: Vec<_> = rows
        .map(|row| (row["key"].as_str(), row["calls"].as_i64()))
        .collect();
    counted.sort();
    assert_eq!(
        counted,
        [
            (Some("batch"), Some(1)),
            (Some("flex"), Some(4)),
            (Some("standard"), Some(6))
        ]
    );
    let heaps = session
        .call("cost_heaps", args(json!({"thresholds": [], "by_hour": []})))
        .await;
    let standard = heaps.as_array().expect("heaps").iter();
    assert_eq!(
        standard.filter(|heap| heap["tier"] == "standard").count(),
        1
    );
}

#[tokio::test]
async fn another_tenant_sees_nothing_of_it() {
    let db = Database::fresh().await;
    let owner = db.tenant("a").await;
    let session = owner.session(&db).await;
    filled(&session).await;
    let stranger = db.tenant("b").await.session(&db).await;
    for org in [Value::Null, json!(owner.org)] {
        let with = |more: Value| {
            let mut args = args(more);
            args["org_id"] = org.clone();
            args
        };
        let found = stranger
            .call("cost_breakdown", with(json!({"by": "node"})))
            .await;
        assert_eq!(found["rows"], json!([]));
        let found = stranger
            .call("cost_breakdown", with(json!({"by": "tag"})))
            .await;
        assert_eq!(found["rows"], json!([]));
        for function in ["cost_evidence", "cost_chargeback"] {
            assert_eq!(
                stranger.call(function, with(json!({}))).await,
                json!([]),
                "{function}"
            );
        }
        let heaps = stranger
            .call("cost_heaps", with(json!({"thresholds": [], "by_hour": []})))
            .await;
        assert_eq!(heaps, json!([]));
    }
}
