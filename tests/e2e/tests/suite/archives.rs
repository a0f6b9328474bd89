//! Days of spans are kept in an object store before retention removes them, and can be sent here again.

use super::otlp::{chat, new_trace, span};
use e2e::app::Setup;
use e2e::{Reply, Tenant, assert_problem, assert_status, filestores};
use flate2::read::GzDecoder;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Read;

const ARCHIVES: &str = "/api/v1/traces/archives";

/// The span as if it had been `days` days ago.
fn aged(mut span: Value, days: u64) -> Value {
    let text = span.to_string();
    for field in ["startTimeUnixNano", "endTimeUnixNano"] {
        let ns: u64 = span[field].as_str().unwrap().parse().unwrap();
        span[field] = (ns - days * 86_400_000_000_000).to_string().into();
    }
    assert_ne!(text, span.to_string());
    span
}

fn send(me: &Tenant, spans: &[Value]) {
    assert_status(&super::otlp::send(me, spans), 200);
}

fn content(me: &Tenant, archive: &Value) -> Reply {
    let path = format!("{ARCHIVES}/{}/content", archive["id"].as_str().unwrap());
    me.send(Method::GET, &path, &[], Vec::new())
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

/// Every span with all below it.
fn flat(spans: &Value) -> Vec<&Value> {
    let spans = spans.as_array().into_iter().flatten();
    spans
        .flat_map(|span| std::iter::once(span).chain(flat(&span["children"])))
        .collect()
}

/// Whether a span has come back: what an exporter adds beside (the names of conventions, who wrote the lines) is no harm.
fn assert_same(before: &Value, again: &Value) {
    let columns = [
        "span_id",
        "parent_span_id",
        "name",
        "kind",
        "status",
        "start_us",
        "end_us",
        "events",
        "links",
        "provider",
        "model",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
    ];
    for column in columns {
        assert_eq!(
            before[column], again[column],
            "{column} of {}",
            before["name"]
        );
    }
    for (name, value) in before["attributes"].as_object().unwrap() {
        assert_eq!(
            value, &again["attributes"][name],
            "{name} of {}",
            before["name"]
        );
    }
}

#[test]
fn a_day_is_kept_before_it_is_removed_and_can_come_back() {
    if std::env::var_os("NODEAI_E2E_BASE_URL").is_some() {
        return; // it has the stores that it was given
    }
    let s3 = filestores::S3::start();
    let mut variables = s3.variables();
    variables.push(("nodeai_archive", "s3".to_owned()));
    let app = Setup::on(crate::BACKEND).with(variables).start();
    let (me, other, operator) = (app.tenant(), app.tenant(), app.operator().unwrap());
    let (old, fresh) = (new_trace(), new_trace());
    let spans: Vec<Value> = (1..=200)
        .map(|n| {
            let long = json!({"gen_ai.input.messages": format!("{n} ").repeat(700)});
            aged(
                span(
                    &old,
                    n,
                    (n > 1).then_some(1),
                    if n == 2 { chat() } else { long },
                ),
                5,
            )
        })
        .collect();
    send(&me, &spans);
    send(&me, &[span(&fresh, 1, None, json!({}))]);
    let before = me.get(&format!("/api/v1/traces/{old}"));
    assert_eq!(before.json["trace"]["span_count"], 200, "{}", before.text);
    let kept = me.put_with("/api/v1/traces/retention", &[], &json!({"days": 3}));
    assert_status(&kept, 200);

    let drained = operator.post(&format!("{ARCHIVES}/drain"), &json!({}));
    assert_status(&drained, 200);
    assert_eq!(drained.json["left"], "nothing", "{}", drained.text);
    let listed = me.get(ARCHIVES);
    let archive = &listed.json["data"][0];
    assert_eq!(
        (&archive["status"], &archive["spans"]),
        (&json!("done"), &json!(200)),
        "{}",
        listed.text
    );
    assert_eq!(other.get(ARCHIVES).json["data"], json!([]));
    assert_problem(&content(&other, archive), 404, "not-found");

    app.owner("SELECT nodeai.housekeeping('{}')");
    assert_problem(&me.get(&format!("/api/v1/traces/{old}")), 404, "not-found");
    assert_status(&me.get(&format!("/api/v1/traces/{fresh}")), 200);

    let packed = content(&me, archive);
    assert_status(&packed, 200);
    assert_eq!(archive["size_bytes"], packed.bytes.len());
    let digest: String = Sha256::digest(&packed.bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(archive["sha256"], digest.as_str());
    for line in unpacked(&packed.bytes).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_status(&other.post("/v1/traces", &line), 200);
    }
    let again = other.get(&format!("/api/v1/traces/{old}"));
    let (before, again) = (flat(&before.json["spans"]), flat(&again.json["spans"]));
    assert_eq!((before.len(), again.len()), (200, 200));
    let pairs = before.into_iter().zip(again);
    pairs.for_each(|(before, again)| assert_same(before, again));
}

#[test]
fn where_nothing_is_kept_nothing_is_asked() {
    let me = super::app().tenant();
    let drained = me.post(&format!("{ARCHIVES}/drain"), &json!({}));
    assert_status(&drained, 200);
    assert_eq!(drained.json["left"], "off", "{}", drained.text);
    assert_problem(
        &me.post(&format!("{ARCHIVES}/drain"), &json!({"most": 0})),
        400,
        "invalid-input",
    );
}
