//! The engine beside n8n: five light nodes, sync and async, every run durable with its trace; branches; cost per node.

use crate::host::Host;
use crate::load::{self, Case, Measured};
use crate::n8n::{Engine, N8n, WEBHOOK};
use anyhow::Result;
use e2e::cluster::Cluster;
use llm_standin::StandIn;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EXECUTE: &str = "/api/v1/workflows/execute";

/// Prints all of it.
pub async fn run(length: Duration) -> Result<()> {
    let cluster = Cluster::start();
    let nodeai = Host::start(&cluster.url(), &[])?;
    let workflow = nodeai.store_workflow().await?;
    println!(
        "| five light nodes | runs/s, 16 connections | p50 ms | p99 ms | runs/s, 1 connection | p50 ms | p99 ms | memory MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let case = Case::post(
        "",
        EXECUTE,
        json!({"workflow_id": workflow, "inputs": {"name": "Ada"}}),
    );
    let mut peers = Vec::new();
    for engine in [Engine::Default, Engine::Legacy] {
        peers.push((
            engine,
            tokio::task::spawn_blocking(move || N8n::start(engine)).await??,
        ));
    }
    let body = Case::post("", WEBHOOK, json!({"name": "Ada"}));
    // The first runs are the warm-up of a compiler that works while it runs.
    for (_, peer) in &peers {
        load::run(&peer.address, "", &body, 16, length).await?;
    }
    let ours = both(&nodeai.address, &nodeai.api_key, &case, length).await?;
    println!(
        "| NodeAI, sync | {} | {} | {} |",
        ours.0,
        ours.1,
        nodeai.memory_kb() / 1024
    );
    let mut fastest = 0.0_f64;
    for (engine, peer) in &peers {
        let theirs = both(&peer.address, "", &body, length).await?;
        fastest = fastest.max(theirs.0.rate());
        println!(
            "| n8n, {engine:?} expressions | {} | {} | {} |",
            theirs.0,
            theirs.1,
            peer.memory_kb() / 1024
        );
    }
    drop(peers);
    let queued = queued(&nodeai, &cluster.url(), &workflow, length).await?;
    println!("| NodeAI, async (accepted and done) | {queued:.0} | | | | | | |");
    println!(
        "\nsync is {:.1} times n8n's faster setting, async {:.1} times\n",
        ours.0.rate() / fastest,
        queued / fastest
    );
    branches(&nodeai).await?;
    growth(&nodeai).await
}

/// Branches and the cost per node alone: nothing is installed.
pub async fn alone() -> Result<()> {
    let cluster = Cluster::start();
    let nodeai = Host::start(&cluster.url(), &[])?;
    branches(&nodeai).await?;
    growth(&nodeai).await
}

async fn both(
    address: &str,
    key: &str,
    case: &Case,
    length: Duration,
) -> Result<(Measured, Measured)> {
    Ok((
        load::run(address, key, case, 16, length).await?,
        load::run(address, key, case, 1, length).await?,
    ))
}

/// Runs per second from the first that is accepted to the last that is done.
async fn queued(nodeai: &Host, database: &str, workflow: &str, length: Duration) -> Result<f64> {
    let body = json!({"workflow_id": workflow, "inputs": {"name": "Ada"}, "async": true});
    let began = Instant::now();
    let accepted = load::run(
        &nodeai.address,
        &nodeai.api_key,
        &Case::post("", EXECUTE, body),
        16,
        length,
    )
    .await?;
    let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let open = "SELECT count(*) FROM public.execution_queue WHERE status IN ('queued', 'running', 'waiting')";
    loop {
        let left: i64 = client.query_one(open, &[]).await?.get(0);
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(accepted.count() as f64 / began.elapsed().as_secs_f64())
}

/// Ten branches of a model that takes 200 ms each.
async fn branches(nodeai: &Host) -> Result<()> {
    let llm = StandIn::start()?;
    let mut nodes = vec![json!({"id": "in", "type": "input", "data": {}})];
    let mut edges = Vec::new();
    for i in 0..10 {
        let id = format!("m{i}");
        nodes.push(
            json!({"id": id, "type": "llm", "data": {"model": "openai/latency-200", "prompt": "Hi",
            "base_url": llm.openai(), "api_key": "sk-test"}}),
        );
        edges.push(json!({"id": format!("a{i}"), "source": "in", "target": id}));
        edges.push(json!({"id": format!("b{i}"), "source": id, "target": "all"}));
    }
    nodes.push(json!({"id": "all", "type": "merge", "data": {"mode": "array"}}));
    nodes.push(json!({"id": "out", "type": "output", "data": {"value": "{{ nodes.all.output }}"}}));
    edges.push(json!({"id": "c", "source": "all", "target": "out"}));
    let case = Case::post(
        "",
        EXECUTE,
        json!({"definition": {"nodes": nodes, "edges": edges}, "inputs": {}}),
    );
    let measured = load::run(
        &nodeai.address,
        &nodeai.api_key,
        &case,
        1,
        Duration::from_secs(5),
    )
    .await?;
    println!(
        "ten parallel branches of a model that takes 200 ms: p50 {:.0} ms, p99 {:.0} ms\n",
        measured.quantile_ms(0.5),
        measured.quantile_ms(0.99)
    );
    Ok(())
}

/// A chain of `n` nodes.
fn chain(n: usize) -> Value {
    let mut nodes = vec![json!({"id": "n0", "type": "input", "data": {}})];
    let mut edges = Vec::new();
    for i in 1..n {
        nodes.push(json!({"id": format!("n{i}"), "type": "transform", "data": {"expression": "{{ inputs.name | upper }}"}}));
        edges.push(json!({"id": format!("e{i}"), "source": format!("n{}", i - 1), "target": format!("n{i}")}));
    }
    nodes.push(json!({"id": "out", "type": "output", "data": {"value": 1}}));
    edges.push(json!({"id": "last", "source": format!("n{}", n - 1), "target": "out"}));
    json!({"nodes": nodes, "edges": edges})
}

/// What one more node costs, as the graph grows: the fastest of several runs each, less what a run of one node takes.
async fn growth(nodeai: &Host) -> Result<()> {
    println!("| nodes | run ms | µs per node |");
    println!("|---|---|---|");
    let mut base = None;
    // The most that a document may have are 10,000, one of them the output.
    for n in [1, 10, 100, 1_000, 9_999] {
        let case = Case::post(
            "",
            EXECUTE,
            json!({"definition": chain(n), "inputs": {"name": "Ada"}}),
        );
        let measured = load::run(
            &nodeai.address,
            &nodeai.api_key,
            &case,
            1,
            Duration::from_secs(5),
        )
        .await?;
        let ms = measured.quantile_ms(0.0);
        let base = *base.get_or_insert(ms);
        let cost = (ms - base) * 1e3 / (n as f64 - 1.0).max(1.0);
        println!("| {n} | {ms:.2} | {cost:.1} |");
    }
    Ok(())
}
