//! Housekeeping: partitions ahead, retention, expiry, runs whose runner died. On this host a ticker calls it; elsewhere
//! a schedule does (see deploy/).

use std::time::Duration;

use anyhow::Result;

use crate::database::{self, DatabaseUrl};
use crate::log;

/// Time between two rounds. A round that finds nothing to do costs a few milliseconds.
const EVERY: Duration = Duration::from_secs(300);

/// Calls housekeeping now and then, as the database's owner. A failed round is said in the log; the next one tries again.
pub async fn run(url: DatabaseUrl, root_ca: Vec<u8>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = round(&url, &root_ca).await {
            log::warn(&format!("housekeeping failed: {error:#}"));
        }
    }
}

async fn round(url: &DatabaseUrl, root_ca: &[u8]) -> Result<()> {
    let owner = database::connect(url, root_ca).await?;
    owner
        .execute("SELECT nodeai.housekeeping('{}'::jsonb)", &[])
        .await?;
    Ok(())
}
