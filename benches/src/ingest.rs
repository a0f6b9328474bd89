//! Spans that are durable per second: NodeAI through its component, Phoenix on the same PostgreSQL, and one statement by
//! itself.

use crate::host::Host;
use crate::load::{self, Case};
use crate::phoenix::Phoenix;
use anyhow::{Context, Result};
use e2e::cluster::Cluster;
use nodeai_otel::proto::{
    Any, AnyValue, ExportTraceServiceRequest, KeyValue, Resource, ResourceSpans, ScopeSpans, Span,
};
use prost::Message;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_postgres::NoTls;

const CONNECTIONS: usize = 4;
/// Spans of a post; with what is said in it, a span has about 1.3 KB.
const SPANS: usize = 100;
const SAID: &str = "The quick brown fox jumps over the lazy dog. ";

/// Prints all of it.
pub async fn run(length: Duration) -> Result<()> {
    let cluster = Cluster::start();
    let nodeai = Host::start(&cluster.url(), &[])?;
    let database = cluster.url();
    let ours = post(&nodeai.address, &nodeai.api_key, length).await?;
    let ours = ours.sent as f64 / ours.took.as_secs_f64();
    let raw = raw(&database, length).await?;
    drop(nodeai);
    let peer = tokio::task::spawn_blocking(move || Phoenix::start(&database)).await??;
    let theirs = phoenix(&peer, length).await?;
    println!("| durable spans/s | |");
    println!("|---|---|");
    println!("| NodeAI, OTLP protobuf, {CONNECTIONS} connections | {ours:.0} |");
    println!("| Phoenix, the same | {theirs:.0} |");
    println!("| one statement of {SPANS} rows, {CONNECTIONS} connections | {raw:.0} |");
    println!(
        "\nNodeAI is {:.1} times Phoenix and {:.2} of the statement",
        ours / theirs,
        ours / raw
    );
    Ok(())
}

/// What was accepted, and in what time.
struct Posted {
    sent: u64,
    took: Duration,
}

/// Posts batches, each of a trace of its own.
async fn post(address: &str, key: &str, length: Duration) -> Result<Posted> {
    let sent = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let tasks = (0..CONNECTIONS).map(|_| {
        let (address, key, sent) = (address.to_owned(), key.to_owned(), sent.clone());
        tokio::spawn(async move {
            let mut sender = load::connect(&address).await?;
            while began.elapsed() < length {
                let case = Case::protobuf("/v1/traces", batch().encode_to_vec());
                load::exchange(&mut sender, &case, &key).await?;
                sent.fetch_add(SPANS as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.context("a connection's task")??;
    }
    let (sent, took) = (sent.load(Ordering::Relaxed), began.elapsed());
    Ok(Posted { sent, took })
}

/// Phoenix says yes before anything is durable: what counts is when the last span is in its table.
async fn phoenix(peer: &Phoenix, length: Duration) -> Result<f64> {
    let began = Instant::now();
    let posted = post(&peer.address, "", length).await?;
    let (client, connection) = tokio_postgres::connect(&peer.database, NoTls).await?;
    tokio::spawn(connection);
    let mut last = (0, Instant::now());
    loop {
        let count: i64 = client
            .query_one("SELECT count(*) FROM spans", &[])
            .await?
            .get(0);
        if count > last.0 {
            last = (count, Instant::now());
        }
        // What has not come for half a minute does not come any more: it counts as never persisted.
        if count >= i64::try_from(posted.sent)? || last.1.elapsed() > Duration::from_secs(30) {
            println!(
                "Phoenix accepted {} spans and persisted {}\n",
                posted.sent, last.0
            );
            return Ok(last.0 as f64 / (last.1 - began).as_secs_f64());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The same rows by one statement alone, as one JSON parameter, into a table with the columns and indexes of `spans`.
async fn raw(database: &str, length: Duration) -> Result<f64> {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE public.bench_spans (LIKE public.spans INCLUDING DEFAULTS INCLUDING INDEXES)")
        .await?;
    let began = Instant::now();
    let tasks = (0..CONNECTIONS).map(|_| {
        let database = database.to_owned();
        tokio::spawn(async move {
            let (client, connection) = tokio_postgres::connect(&database, NoTls).await?;
            tokio::spawn(connection);
            let insert = client.prepare(INSERT).await?;
            let mut count = 0;
            while began.elapsed() < length {
                count += client.execute(&insert, &[&rows()]).await?;
            }
            anyhow::Ok(count)
        })
    });
    let mut count = 0;
    for task in tasks.collect::<Vec<_>>() {
        count += task.await.context("a connection's task")??;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

const INSERT: &str = "INSERT INTO public.bench_spans (org_id, trace_id, span_id, day, name, kind, status, started_at,
    duration_us, provider, model, prompt_tokens, completion_tokens, cost_pusd, attributes)
  SELECT '00000000-0000-0000-0000-000000000001', x.trace_id, x.span_id, current_date, x.name, x.kind, x.status,
    to_timestamp(x.start_us / 1e6), x.duration_us, x.provider, x.model, x.prompt_tokens, x.completion_tokens, x.cost_pusd,
    x.attributes
  FROM jsonb_to_recordset($1) AS x(trace_id text, span_id text, name text, kind text, status text, start_us bigint,
    duration_us bigint, provider text, model text, prompt_tokens bigint, completion_tokens bigint, cost_pusd bigint,
    attributes jsonb)";

/// The spans of [`batch`] as that parameter.
fn rows() -> Value {
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let said = SAID.repeat(10);
    let first: u64 = rand::random();
    let rows = (0..SPANS as u64).map(|n| {
        json!({"trace_id": trace, "span_id": format!("{:016x}", first.wrapping_add(n)), "name": "chat gpt-4o-mini",
            "kind": "client", "status": "ok", "start_us": now_ns() / 1_000, "duration_us": 1_000_000, "provider": "openai",
            "model": "gpt-4o-mini", "prompt_tokens": 1_000, "completion_tokens": 100, "cost_pusd": 180_000_000,
            "attributes": {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o-mini", "openinference.span.kind": "LLM", "gen_ai.input.messages": said,
                "gen_ai.output.messages": said, "gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 100}})
    });
    rows.collect()
}

fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or_default()
}

fn batch() -> ExportTraceServiceRequest {
    let trace = uuid::Uuid::new_v4();
    let now_ns = now_ns();
    // Phoenix takes a span's id for unique over all traces.
    let first: u64 = rand::random();
    let spans = (0..SPANS as u64).map(|n| Span {
        trace_id: trace.as_bytes().to_vec(),
        span_id: first.wrapping_add(n).to_be_bytes().to_vec(),
        parent_span_id: match n {
            0 => Vec::new(),
            _ => first.to_be_bytes().to_vec(),
        },
        name: "chat gpt-4o-mini".to_owned(),
        kind: 3,
        start_time_unix_nano: now_ns,
        end_time_unix_nano: now_ns + 1_000_000_000,
        attributes: attributes(),
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans {
        spans: spans.collect(),
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "bench")],
            }),
            scope_spans,
        }],
    }
}

fn attributes() -> Vec<KeyValue> {
    let said = SAID.repeat(10);
    let mut all: Vec<KeyValue> = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o-mini"),
        ("openinference.span.kind", "LLM"),
        ("gen_ai.input.messages", &said),
        ("gen_ai.output.messages", &said),
    ]
    .into_iter()
    .map(|(key, value)| text(key, value))
    .collect();
    for (key, value) in [
        ("gen_ai.usage.input_tokens", 1_000),
        ("gen_ai.usage.output_tokens", 100),
    ] {
        all.push(attribute(key, Any::Int(value)));
    }
    all
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::Text(value.to_owned()))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}
