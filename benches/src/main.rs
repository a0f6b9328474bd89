//! `cargo build --release && cargo run --release -p nodeai-bench`: one run, one machine, NodeAI beside a native server
//! that does the same SQL; with `engine` as an argument beside n8n, with `ingest` beside Phoenix; with `spans`
//! what reading costs over 10,000,000 spans beside 100,000; with `search` what searches cost over 100,000 chunks.
//! Absolute numbers depend on the machine; the ratios are what to compare.

mod engine;
mod host;
mod ingest;
mod load;
mod n8n;
mod native;
mod phoenix;
mod proxy;
mod search;
mod spans;

use anyhow::Result;
use load::{Case, Measured};
use serde_json::json;
use std::time::Duration;

/// Kept-alive connections of the load.
const CONNECTIONS: usize = 16;
/// Rounds per case and server; the servers take turns, so that a drift of the machine meets both.
const ROUNDS: usize = 3;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seconds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(4);
    let length = Duration::from_secs(seconds);
    let named = |name: &str| args.iter().any(|arg| arg == name);
    if named("engine") {
        runtime.block_on(engine::run(length))
    } else if named("nodes") {
        runtime.block_on(engine::alone())
    } else if named("spans") {
        runtime.block_on(spans::run(length))
    } else if named("search") {
        runtime.block_on(search::run(&args))
    } else if named("ingest") {
        runtime.block_on(ingest::run(length))
    } else {
        runtime.block_on(run(length))
    }
}

async fn run(length: Duration) -> Result<()> {
    let cluster = e2e::cluster::Cluster::start();
    let nodeai = host::Host::start(&cluster.url(), &[])?;
    let second = host::Host::start(&cluster.url(), &[])?;
    let (start_ms, idle_kb) = (second.start_ms, second.memory_kb());
    drop(second);
    let workflow = nodeai.store_workflow().await?;
    let native = native::serve(&cluster.url(), &nodeai.api_key, &workflow).await?;

    println!(
        "{CONNECTIONS} connections, {ROUNDS} rounds of {} s each\n",
        length.as_secs()
    );
    println!("| case | NodeAI req/s | p50 ms | p99 ms | native req/s | p50 ms | p99 ms | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    for case in cases(&workflow) {
        let (mut ours, mut theirs) = (Measured::default(), Measured::default());
        for _ in 0..ROUNDS {
            ours.add(
                load::run(&nodeai.address, &nodeai.api_key, &case, CONNECTIONS, length).await?,
            );
            theirs.add(load::run(&native, &nodeai.api_key, &case, CONNECTIONS, length).await?);
        }
        println!(
            "| {} | {ours} | {theirs} | {:.2} |",
            case.name,
            ours.rate() / theirs.rate()
        );
    }
    report_statements(&cluster.url(), &nodeai.api_key, &workflow).await?;
    println!("\nsecond start {start_ms} ms, idle memory {idle_kb} KiB\n");
    for (name, size) in host::component_sizes()? {
        println!("{name}: {:.2} MB", size as f64 / 1e6);
    }
    Ok(())
}

fn cases(workflow: &str) -> Vec<Case> {
    vec![
        Case::get("(a) GET /healthz", "/healthz"),
        Case::get("(b) one-row read", &format!("/api/v1/workflows/{workflow}")),
        Case::post(
            "(c) five-node run",
            "/api/v1/workflows/execute",
            json!({"workflow_id": workflow, "inputs": {"name": "Ada"}}),
        ),
    ]
}

/// Statements as the application counts them, and bursts of bytes to Postgres as a proxy sees them.
async fn report_statements(database: &str, api_key: &str, workflow: &str) -> Result<()> {
    let proxy = proxy::start(database).await?;
    let counted = host::Host::start(&proxy.url, &[("SPIN_VARIABLE_NODEAI_REQUEST_SPANS", "off")])?;
    println!("\n| case | statements before the answer | wire round trips |");
    println!("|---|---|---|");
    for case in cases(workflow) {
        // The first ones prepare statements.
        for _ in 0..20 {
            load::once(&counted.address, api_key, &case).await?;
        }
        let (before, n) = (proxy.bursts(), 100);
        let mut statements = String::new();
        for _ in 0..n {
            statements = load::once(&counted.address, api_key, &case).await?;
        }
        let trips = (proxy.bursts() - before) as f64 / f64::from(n);
        println!("| {} | {statements} | {trips:.1} |", case.name);
    }
    Ok(())
}
