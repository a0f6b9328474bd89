//! What reading costs when there are many spans: the same questions over 100,000 spans and over many more, in 60 partitions
//! each, through the API; and how long it takes to drop a day.

mod fill;
mod plans;

use crate::host::Host;
use crate::load::{self, Case, Measured};
use anyhow::{Context, Result, ensure};
use e2e::cluster::Cluster;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// Days, each with a partition.
const DAYS: u32 = 60;
/// Spans of the smaller database.
const FEW: u64 = 100_000;
/// Spans of the bigger one, unless `NODEAI_BENCH_SPANS` says another number.
const MANY: u64 = 10_000_000;
/// Slowest p95 that is fine, ms, and the most by which more spans may slow a question.
const MOST_MS: f64 = 200.0;
const MOST_RATIO: f64 = 2.0;
/// Rounds of each question; the databases take turns.
const ROUNDS: usize = 3;

/// A database that is filled, and the host before it.
struct Side {
    host: Host,
    client: Client,
    spans: u64,
}

impl Side {
    async fn start(cluster: &Cluster, name: &str, spans: u64) -> Result<Self> {
        let owner = connect(&cluster.url()).await?;
        owner
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await?;
        let url = cluster.url();
        let (server, _) = url.rsplit_once('/').context("a database's name")?;
        let url = format!("{server}/{name}");
        let host = Host::start(&url, &[("SPIN_VARIABLE_NODEAI_REQUEST_SPANS", "off")])?;
        let client = connect(&url).await?;
        let began = Instant::now();
        let spans = fill::fill(&client, spans, DAYS).await?;
        println!("{spans} spans in {:.0} s", began.elapsed().as_secs_f64());
        Ok(Self {
            host,
            client,
            spans,
        })
    }

    async fn ask(&self, case: &Case, length: Duration) -> Result<Measured> {
        load::run(&self.host.address, &self.host.api_key, case, 1, length).await
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Fills both, measures, and prints the table. Fails where a plan is not as it should be.
pub async fn run(length: Duration) -> Result<()> {
    let many = match std::env::var("NODEAI_BENCH_SPANS") {
        Ok(text) => text.parse().context("NODEAI_BENCH_SPANS is a number")?,
        Err(_) => MANY,
    };
    let cluster = Cluster::start();
    let few = Side::start(&cluster, "few", FEW).await?;
    let many = Side::start(&cluster, "many", many).await?;
    let names = [few.spans, many.spans].map(|n| format!("{n} p50 ms | p95 ms"));
    println!("\n| question | {} | {} | p95 ratio | |", names[0], names[1]);
    println!("|---|---|---|---|---|---|---|");
    for case in cases() {
        let (mut small, mut big) = (Measured::default(), Measured::default());
        for _ in 0..ROUNDS {
            small.add(few.ask(&case, length).await?);
            big.add(many.ask(&case, length).await?);
        }
        println!("| {} | {}", case.name, row(&small, &big));
    }
    let plans = plans::faults(&many.client).await?;
    println!(
        "\ndropping a day took {:.0} ms",
        drop_a_day(&many.client).await?
    );
    ensure!(plans.is_empty(), "{}", plans.join("\n\n"));
    println!("the plans use the intended indexes");
    Ok(())
}

fn row(small: &Measured, big: &Measured) -> String {
    let of = |m: &Measured| [0.5, 0.95].map(|share| m.quantile_ms(share));
    let ([p50, p95], [big50, big95]) = (of(small), of(big));
    let ratio = big95 / p95;
    let fine = ratio <= MOST_RATIO && big95 < MOST_MS;
    let verdict = if fine { "as aimed" } else { "MISSED" };
    format!("{p50:.1} | {p95:.1} | {big50:.1} | {big95:.1} | {ratio:.2} | {verdict} |")
}

/// The questions.
fn cases() -> Vec<Case> {
    let search = |q: &str| format!("/api/v1/traces?limit=50&q={q}");
    let month = |measured: &str| {
        let from = fill::day(30);
        format!("/api/v1/metrics/query?from={from}T00:00:00Z&measure={measured}")
    };
    let early = format!("/api/v1/traces?limit=50&to={}T12:00:00Z", fill::day(40));
    let long = format!("/api/v1/traces/{}", fill::LONG_TRACE);
    let all = [
        ("trace list", "/api/v1/traces?limit=50".to_owned()),
        ("trace list, from 40 days ago", early),
        ("search: failed", search("status:error")),
        (
            "search: model and duration",
            search("model:gpt-4o%20duration%3E500ms"),
        ),
        (
            "search: text that many have",
            search("%22step%2012%20%E6%A4%9C%E7%B4%A2%22"),
        ),
        (
            "search: attribute of 1 in 500",
            search("attr.customer%3Dc7"),
        ),
        ("30 days: cost by model", month("cost_usd_micros&by=model")),
        ("30 days: calls by workflow", month("calls&by=workflow")),
        ("30 days: p95", month("latency_p95")),
        ("one trace of 10,000 spans", long),
    ];
    let cases = all.into_iter();
    cases.map(|(name, path)| Case::get(name, &path)).collect()
}

/// Drops the oldest day as retention does; ms.
async fn drop_a_day(client: &Client) -> Result<f64> {
    let first_kept = fill::day(i64::from(DAYS) - 1).to_string();
    let began = Instant::now();
    let dropped = client
        .query_one(
            "SELECT nodeai.drop_partitions($1::text::date)",
            &[&first_kept],
        )
        .await?;
    ensure!(dropped.get::<_, i32>(0) > 0, "there was nothing to drop");
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}
