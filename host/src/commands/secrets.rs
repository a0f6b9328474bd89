//! `nodeai secrets rotate`.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nodeai_crypto::{MasterKeys, NONCE_LEN, OpenError, Place, Sealed};
use rand::RngCore;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::owner;
use crate::bootstrap::{Secrets, call};
use crate::cli::RotateArgs;
use crate::project::Project;
use crate::settings::Environment;

/// Data keys of one step: read, re-wrap, write back in one transaction.
const STEP: usize = 500;

/// Wraps the data keys of all organisations with the newest master key. Each step commits by itself and replaces only
/// what is still as it was read: the command can be killed, repeated, and run beside a serving application.
///
/// # Errors
/// When the keys are not usable, the database refuses, or something does not open and stays as it is.
pub async fn rotate(dir: Option<&Path>, args: &RotateArgs) -> Result<()> {
    let project = Project::open(dir)?;
    let environment = Environment::load(&project.root)?;
    let keys = master_keys(&project, &environment)?;
    let mut owner = owner::open(&project, &environment, &args.database).await?;
    let mut rotation = Rotation {
        newest: keys.current(),
        keys,
        refused: BTreeMap::new(),
        rewrapped: 0,
    };
    let remaining = loop {
        let stale = rotation.stale(&owner.client).await?;
        let rewrapped = rotation.step(&mut owner.client, &stale.rows).await?;
        println!(
            "{} data keys re-wrapped, {} to go",
            rotation.rewrapped,
            stale.remaining.saturating_sub(rewrapped)
        );
        if rewrapped == 0 && rotation.nothing_new(&stale.rows) {
            break stale.remaining;
        }
    };
    rotation.conclude(remaining)
}

/// The keys as `nodeai up` gives them to the application.
fn master_keys(project: &Project, environment: &Environment) -> Result<MasterKeys> {
    let text = match environment.variable("nodeai_master_keys") {
        Some(text) => text.to_owned(),
        None => Secrets::load(project)?.master_keys,
    };
    MasterKeys::parse(&text).context("nodeai_master_keys")
}

#[derive(Deserialize)]
struct Stale {
    remaining: u64,
    rows: Vec<Wrapped>,
}

/// A data key that another master key wraps.
#[derive(Deserialize)]
struct Wrapped {
    kind: String,
    id: String,
    org_id: String,
    record_id: String,
    version: String,
    key_version: u32,
    wrapped_key: String,
}

impl Wrapped {
    fn rewrap(&self, keys: &MasterKeys) -> Result<Value, OpenError> {
        let place = Place {
            kind: &self.kind,
            org_id: &self.org_id,
            id: &self.record_id,
            version: &self.version,
        };
        let sealed = Sealed {
            key_version: self.key_version,
            wrapped_key: hex::decode(&self.wrapped_key).unwrap_or_default(),
            nonce: Vec::new(),
            ciphertext: Vec::new(),
        };
        let mut nonce = [0; NONCE_LEN];
        rand::rngs::OsRng.fill_bytes(&mut nonce);
        let (key_version, wrapped) = keys.rewrap(place, &sealed, &nonce)?;
        Ok(
            json!({"kind": self.kind, "id": self.id, "from_version": self.key_version,
            "from_wrapped": self.wrapped_key, "key_version": key_version, "wrapped_key": hex::encode(wrapped)}),
        )
    }
}

struct Rotation {
    keys: MasterKeys,
    newest: u32,
    /// What does not open, and why, by "kind id".
    refused: BTreeMap<String, OpenError>,
    rewrapped: u64,
}

impl Rotation {
    async fn stale(&self, owner: &Client) -> Result<Stale> {
        // What does not open stays in front; beyond it there is always a step's worth of others.
        let limit = STEP + self.refused.len();
        let args = json!({"key_version": self.newest, "limit": limit});
        let answer = call(owner, "nodeai.stale_keys", &args).await?;
        serde_json::from_value(answer).context("nodeai.stale_keys gave something unexpected")
    }

    /// Re-wraps `rows` and writes it down in the audit log of each organisation, in one transaction.
    async fn step(&mut self, owner: &mut Client, rows: &[Wrapped]) -> Result<u64> {
        let mut done = Vec::new();
        let mut orgs = BTreeSet::new();
        for row in rows {
            match row.rewrap(&self.keys) {
                Ok(value) => {
                    done.push(value);
                    orgs.insert(row.org_id.as_str());
                }
                Err(error) => {
                    let name = format!("{} {}", row.kind, row.record_id);
                    self.refused.insert(name, error);
                }
            }
        }
        if done.is_empty() {
            return Ok(0);
        }
        let step = owner.transaction().await?;
        let answer = call(step.client(), "nodeai.rewrap_keys", &json!({"rows": done})).await?;
        for org in orgs {
            let org: uuid::Uuid = org.parse().context("an organisation's id")?;
            let entry = json!({"action": "vault.master_rotated", "resource_type": "vault",
                "resource_id": org, "details": {"key_version": self.newest, "by": "operator"}});
            step.execute(
                "SELECT nodeai.append_audit($1, NULL, NULL, $2::jsonb)",
                &[&org, &entry],
            )
            .await?;
        }
        step.commit().await?;
        let changed = answer["changed"].as_u64().unwrap_or_default();
        self.rewrapped += changed;
        Ok(changed)
    }

    /// Whether all of `rows` is known not to open. Rows that somebody else was faster with are read again.
    fn nothing_new(&self, rows: &[Wrapped]) -> bool {
        rows.iter().all(|row| {
            let name = format!("{} {}", row.kind, row.record_id);
            self.refused.contains_key(&name)
        })
    }

    fn conclude(&self, remaining: u64) -> Result<()> {
        if remaining > 0 {
            let some = self.refused.iter().take(10);
            let some: Vec<String> = some.map(|(name, why)| format!("{name}: {why}")).collect();
            bail!(
                "{remaining} data keys could not be re-wrapped; keep the old master keys. {}",
                some.join("; ")
            );
        }
        println!(
            "every data key is wrapped by the master key of version {}",
            self.newest
        );
        Ok(())
    }
}
