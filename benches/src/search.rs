//! What a search costs in a base of 100,000 chunks beside another tenant's: by words, by vectors and by both, through the components,
//! without a condition, under one that keeps half, and under one that keeps a hundredth; with pgvector and without it.

mod ask;
mod corpus;
mod fill;

use crate::host::Host;
use anyhow::{Context, Result, ensure};
use ask::{Asked, Condition, MODES, Way};
use corpus::Corpus;
use e2e::cluster::Cluster;
use fill::Side;
use tokio_postgres::{Client, NoTls};

/// Chunks of each base, unless `--chunks` says another number.
const CHUNKS: usize = 100_000;
/// Questions of each case, asked one after the other.
const QUESTIONS: usize = 200;

/// Fills, asks, and prints the tables. Fails where an answer has what it must not have.
pub async fn run(args: &[String]) -> Result<()> {
    let chunks = match args.iter().position(|arg| arg == "--chunks") {
        Some(at) => args.get(at + 1).and_then(|text| text.parse().ok()),
        None => Some(CHUNKS),
    };
    let chunks = chunks.context("--chunks takes a number")?;
    let cluster = cluster().await;
    let host = Host::start(
        &cluster.url(),
        &[("SPIN_VARIABLE_NODEAI_REQUEST_SPANS", "off")],
    )?;
    let client = connect(&cluster.url()).await?;
    let corpus = Corpus::new();
    let mut sides = Vec::new();
    for number in 0..2 {
        let key = fill::tenant(&client, &host.api_key, number).await?;
        let side = Side::made(&client, &host.address, key, number).await?;
        sides.push(side.filled(&client, &corpus, chunks).await?);
    }
    client.batch_execute("VACUUM ANALYZE").await?;
    let questions = corpus.questions(QUESTIONS);
    table(&host, &sides, &questions, Way::Codes).await?;
    if !fill::settle(&client).await? {
        return Ok(());
    }
    // What building graphs leaves to be written is not a search's.
    client.batch_execute("VACUUM ANALYZE").await?;
    client.batch_execute("CHECKPOINT").await?;
    table(&host, &sides, &questions, Way::Graph).await
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A server with pgvector, or one without it where there is none to be had.
async fn cluster() -> Cluster {
    let with = tokio::task::spawn_blocking(Cluster::with_pgvector);
    match with.await {
        Ok(cluster) => cluster,
        Err(_) => {
            println!("a server with pgvector cannot be installed here");
            Cluster::start()
        }
    }
}

/// Asks all questions in each case, the tenants by turns.
async fn table(host: &Host, sides: &[Side], questions: &[String], way: Way) -> Result<()> {
    println!("\n{way}, {} questions\n", MODES.len() * 3 * questions.len());
    println!("| mode | condition | p50 ms | p95 ms | most ms | |");
    println!("|---|---|---|---|---|---|");
    for mode in MODES {
        for condition in [Condition::None, Condition::Half, Condition::Hundredth] {
            let asked = Asked {
                mode,
                condition,
                way,
            };
            let measured = asked.all(host, sides, questions).await?;
            let [p50, p95, most] = [0.5, 0.95, 1.0].map(|share| measured.quantile_ms(share));
            let verdict = match p95 < way.aim_ms() {
                true => "as aimed",
                false => "MISSED",
            };
            println!("| {mode} | {condition} | {p50:.1} | {p95:.1} | {most:.1} | {verdict} |");
        }
    }
    ensure!(sides.len() == 2, "there is nobody to be kept apart from");
    println!("\nno answer had anything of the other tenant, or against its condition");
    Ok(())
}
