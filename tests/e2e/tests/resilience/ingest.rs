//! Spans are sent while the host and Postgres are killed: each that got a 200 is there, once, and the sums by the hour are
//! those of a recount.

use e2e::cluster::Cluster;
use e2e::mortal::Mortal;
use e2e::{Tenant, database};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const CLIENTS: usize = 4;
const BATCHES: usize = 100;
/// Spans of a batch: a root and calls of a model.
const SPANS: usize = 25;

/// One trace; the same batch whenever it is asked for.
fn batch(number: usize, start_ns: u128) -> Value {
    let spans = (1..=SPANS).map(|n| {
        let attributes = match n {
            1 => json!([]),
            _ => json!([
                {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
                {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}},
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": (100 + n).to_string()}},
                {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "10"}},
            ]),
        };
        let parent = if n == 1 { String::new() } else { format!("{:016x}", 1) };
        json!({"traceId": trace(number), "spanId": format!("{n:016x}"), "parentSpanId": parent, "name": format!("s{n}"),
            "startTimeUnixNano": start_ns.to_string(), "endTimeUnixNano": (start_ns + 1_000_000).to_string(), "attributes": attributes})
    });
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans.collect::<Vec<_>>()}]}]})
}

fn trace(number: usize) -> String {
    format!("{:032x}", number + 1)
}

/// Sends as exporters do: the same again until it is accepted.
fn send(mortal: &Mortal, me: &Tenant, body: &Value) {
    loop {
        let reply = mortal.insist(|| me.try_post("/v1/traces", body));
        match reply.status {
            200 => return,
            503 | 504 => std::thread::yield_now(),
            other => panic!("{other}: {}", reply.text),
        }
    }
}

#[test]
fn accepted_spans_are_there_once_whatever_dies() {
    let cluster = Cluster::start();
    let mortal = Arc::new(Mortal::new(
        &cluster.url(),
        &format!("1:{}", "ab".repeat(32)),
    ));
    mortal.start();
    let me = mortal.tenant();
    assert_eq!(me.get("/api/v1/traces").status, 200);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let start_ns = now.unwrap().as_nanos();
    let (next, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (mortal, me) = (mortal.clone(), me.clone());
            let (next, sent) = (next.clone(), sent.clone());
            std::thread::spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= BATCHES {
                        return;
                    }
                    send(&mortal, &me, &batch(number, start_ns));
                    sent.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let wait_for = |count: usize| {
        while sent.load(Ordering::SeqCst) < count && clients.iter().any(|c| !c.is_finished()) {
            std::thread::yield_now();
        }
    };
    wait_for(BATCHES / 5);
    mortal.kill();
    mortal.start();
    wait_for(2 * BATCHES / 5);
    cluster.crash();
    wait_for(3 * BATCHES / 5);
    mortal.kill();
    mortal.start();
    for client in clients {
        client.join().unwrap();
    }
    check(&cluster.url());
}

fn check(url: &str) {
    let text = |sql: &str| database::text(url, sql).unwrap_or_default();
    let each = format!(
        "SELECT count(*)::text FROM (SELECT trace_id FROM public.spans WHERE trace_id <= '{}'
           GROUP BY trace_id HAVING count(*) = {SPANS} AND count(DISTINCT span_id) = {SPANS}) t",
        trace(BATCHES)
    );
    assert_eq!(text(&each), BATCHES.to_string());
    let sums = "count(*) || ' ' || sum(prompt_tokens) || ' ' || sum(completion_tokens) || ' ' || sum(cost_pusd)::bigint";
    let recount = text(&format!(
        "SELECT {sums} FROM public.spans WHERE model = 'gpt-4o-mini'"
    ));
    let sums = sums.replace("count(*)", "sum(calls)");
    let told = text(&format!(
        "SELECT {sums} FROM (SELECT calls, model, prompt_tokens, completion_tokens, cost_pusd FROM public.usage_hours
           UNION ALL SELECT calls, model, prompt_tokens, completion_tokens, cost_pusd FROM public.usage_deltas) u
         WHERE model = 'gpt-4o-mini'"
    ));
    assert!(
        recount.starts_with(&format!("{} ", BATCHES * (SPANS - 1))),
        "{recount}"
    );
    assert_eq!(told, recount);
}
