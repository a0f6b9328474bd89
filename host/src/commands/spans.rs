//! `nodeai spans replay`.
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio_postgres::Client;

use super::owner;
use crate::bootstrap::call;
use crate::cli::ReplayArgs;
use crate::project::Project;
use crate::settings::Environment;
use crate::spans::otlp_in_line;

/// Brings the spans in log files into the database; doing so again changes nothing.
///
/// # Errors
/// When a file cannot be read or the database refuses.
pub async fn run(dir: Option<&Path>, args: &ReplayArgs) -> Result<()> {
    let project = Project::open(dir)?;
    let environment = Environment::load(&project.root)?;
    let owner = owner::open(&project, &environment, &args.database).await?;
    let mut total = Counts::default();
    for path in &args.files {
        let input: Box<dyn Read + Send> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(
                std::fs::File::open(path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
            )
        };
        total.add(
            replay(&owner.client, input)
                .await
                .with_context(|| format!("replaying {}", path.display()))?,
        );
    }
    println!(
        "{} lines with spans, {} spans inserted, {} were there already",
        total.lines, total.inserted, total.skipped
    );
    Ok(())
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    lines: u64,
    inserted: u64,
    skipped: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.inserted += other.inserted;
        self.skipped += other.skipped;
    }
}

async fn replay(client: &Client, input: Box<dyn Read + Send>) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut reader = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(counts);
        }
        if let Some(otlp) = otlp_in_line(&String::from_utf8_lossy(&line)) {
            let output = call(client, "nodeai.replay_spans", &otlp).await?;
            counts.lines += 1;
            counts.inserted += number(&output, "inserted");
            counts.skipped += number(&output, "skipped");
        }
    }
}

fn number(output: &Value, name: &str) -> u64 {
    output.get(name).and_then(Value::as_u64).unwrap_or_default()
}
