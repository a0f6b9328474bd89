//! Migrations: `migrations/NNN_name.sql`, forward only, each in one transaction, recorded with its hash.
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use tokio_postgres::Client;
use tokio_postgres::error::ErrorPosition;

use crate::capabilities::pg::pool;

/// The advisory lock that a migrating host holds ("nodeai" in ASCII).
pub const LOCK: i64 = 0x6e6f_6465_6169;

const LEDGER: &str = "CREATE SCHEMA IF NOT EXISTS nodeai; \
     CREATE TABLE IF NOT EXISTS nodeai.schema_migrations (\
         version int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, \
         applied_at timestamptz NOT NULL DEFAULT now())";

/// One migration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The number its name begins with.
    pub version: i32,
    /// The rest of its name.
    pub name: String,
    /// Its text.
    pub sql: String,
    /// SHA-256 of the text, in hex.
    pub sha256: String,
}

/// What a database has of the migrations.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Applied, in order.
    pub applied: Vec<String>,
    /// To be applied, in order.
    pub pending: Vec<String>,
    /// In the database but not on disk: a newer version of the application was here.
    pub unknown: Vec<String>,
}

impl Migration {
    /// As it is shown: `003_name`.
    pub fn label(&self) -> String {
        label(self.version, &self.name)
    }
}

fn label(version: i32, name: &str) -> String {
    format!("{version:03}_{name}")
}

/// Reads all migrations of a folder, in order; a missing folder has none.
///
/// # Errors
/// When a name is not `NNN_name.sql`, a number is there twice, or a file cannot be read.
pub fn load(folder: &Path) -> Result<Vec<Migration>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            all.push(read(&path)?);
        }
    }
    all.sort_by_key(|migration| migration.version);
    for pair in all.windows(2) {
        ensure!(
            pair[0].version != pair[1].version,
            "two migrations have the number {}",
            pair[0].version
        );
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Migration> {
    let stem = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let parsed = stem
        .split_once('_')
        .and_then(|(number, name)| Some((number.parse().ok()?, name.to_owned())));
    let (version, name) =
        parsed.with_context(|| format!("{} is not named NNN_name.sql", path.display()))?;
    let sql =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let sha256 = hex::encode(Sha256::digest(sql.as_bytes()));
    Ok(Migration {
        version,
        name,
        sql,
        sha256,
    })
}

/// Compares the files with the database.
///
/// # Errors
/// When an applied migration's text has changed since, or the database cannot be read.
pub async fn status(client: &Client, migrations: &[Migration]) -> Result<Status> {
    let present = client
        .query_one(
            "SELECT to_regclass('nodeai.schema_migrations') IS NOT NULL",
            &[],
        )
        .await
        .map_err(failed)?;
    let rows = if present.get::<_, bool>(0) {
        client
            .query(
                "SELECT version, name, sha256 FROM nodeai.schema_migrations ORDER BY version",
                &[],
            )
            .await
            .map_err(failed)?
    } else {
        Vec::new()
    };
    let recorded: Vec<_> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    compare(migrations, &recorded)
}

fn failed(error: tokio_postgres::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "the migrations' state cannot be read: {}",
        pool::describe(&error)
    )
}

fn compare(migrations: &[Migration], recorded: &[(i32, String, String)]) -> Result<Status> {
    let mut status = Status::default();
    for (version, name, sha256) in recorded {
        match migrations
            .iter()
            .find(|migration| migration.version == *version)
        {
            None => status.unknown.push(label(*version, name)),
            Some(migration) if migration.sha256 == *sha256 => {
                status.applied.push(migration.label())
            }
            Some(migration) => bail!(
                "the migration {} was changed after it had been applied; restore its text and add a new migration instead",
                migration.label()
            ),
        }
    }
    for migration in migrations {
        if !recorded
            .iter()
            .any(|(version, ..)| *version == migration.version)
        {
            status.pending.push(migration.label());
        }
    }
    Ok(status)
}

/// Applies what is pending, one transaction each, while no other host does; returns what was applied.
///
/// # Errors
/// When an applied migration has changed, or one fails: it is then rolled back, and those before it stay.
pub async fn apply(client: &mut Client, migrations: &[Migration]) -> Result<Vec<String>> {
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK])
        .await
        .map_err(failed)?;
    let outcome = apply_locked(client, migrations).await;
    if let Err(error) = client
        .execute("SELECT pg_advisory_unlock($1)", &[&LOCK])
        .await
    {
        // The lock goes with the connection.
        crate::log::warn(&format!(
            "the migration lock was not released: {}",
            pool::describe(&error)
        ));
    }
    outcome
}

async fn apply_locked(client: &mut Client, migrations: &[Migration]) -> Result<Vec<String>> {
    let pending = status(client, migrations).await?.pending;
    if pending.is_empty() {
        return Ok(pending);
    }
    // IF NOT EXISTS would still ask for the right to create, which an owner of less may not have.
    client.batch_execute(LEDGER).await.map_err(failed)?;
    for migration in migrations
        .iter()
        .filter(|migration| pending.contains(&migration.label()))
    {
        apply_one(client, migration).await?;
    }
    Ok(pending)
}

async fn apply_one(client: &mut Client, migration: &Migration) -> Result<()> {
    let run = async {
        let transaction = client.transaction().await?;
        transaction.batch_execute(&migration.sql).await?;
        transaction
            .execute(
                "INSERT INTO nodeai.schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
                &[&migration.version, &migration.name, &migration.sha256],
            )
            .await?;
        transaction.commit().await
    };
    let outcome: Result<(), tokio_postgres::Error> = run.await;
    outcome.map_err(|error| {
        let line = line_of(&error, &migration.sql)
            .map(|line| format!(" (line {line})"))
            .unwrap_or_default();
        anyhow::anyhow!(
            "the migration {} failed and was rolled back{line}: {}",
            migration.label(),
            pool::describe(&error)
        )
    })
}

fn line_of(error: &tokio_postgres::Error, sql: &str) -> Option<usize> {
    match error.as_db_error()?.position()? {
        ErrorPosition::Original(at) => {
            let before = sql.chars().take(usize::try_from(*at).ok()?);
            Some(before.filter(|c| *c == '\n').count() + 1)
        }
        ErrorPosition::Internal { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn files_are_read_in_order() {
        let folder = folder(&[("010_b.sql", "2"), ("002_a_c.sql", "1"), ("README.md", "")]);
        let all = load(folder.path()).unwrap();
        assert_eq!(
            all.iter().map(Migration::label).collect::<Vec<_>>(),
            ["002_a_c", "010_b"]
        );
        assert_eq!(
            all[0].sha256,
            "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
        );
    }

    #[test]
    fn wrong_names_and_doubles_are_refused() {
        assert!(load(folder(&[("init.sql", "")]).path()).is_err());
        assert!(load(folder(&[("001_a.sql", ""), ("01_b.sql", "")]).path()).is_err());
    }

    #[test]
    fn a_changed_migration_is_refused() {
        let all = load(folder(&[("001_a.sql", "1"), ("002_b.sql", "2")]).path()).unwrap();
        let good = (1, "a".to_owned(), all[0].sha256.clone());
        let status = compare(&all, &[good.clone(), (7, "later".into(), "x".into())]).unwrap();
        assert_eq!(status.pending, ["002_b"]);
        assert_eq!(status.unknown, ["007_later"]);
        let changed = compare(&all, &[(1, "a".into(), "other".into())]).unwrap_err();
        assert!(changed.to_string().contains("001_a was changed"));
    }
}
