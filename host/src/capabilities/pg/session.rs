//! One Postgres session: its bounded statement cache, and how it is made clean for the next request.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{CancelToken, Client, Connection, Error, NoTls, RowStream, Statement};

use super::values::Parameter;
use crate::log;

/// Statements that a session keeps prepared.
const CACHED_STATEMENTS: usize = 256;
/// How long a reset may take, including a query that the guest walked away from.
const RESET_LIMIT: Duration = Duration::from_secs(2);
/// What undoes a request that only read and wrote rows: the session settings of admission, and locks.
const LIGHT_RESET: &str = "SELECT pg_catalog.set_config('role', 'none', false), \
     pg_catalog.set_config('request.jwt.claims', '', false), \
     pg_catalog.set_config('nodeai.nonce', '', false), \
     pg_catalog.pg_advisory_unlock_all()";

/// A connected session.
pub struct Session {
    client: Client,
    cancel: CancelToken,
    statements: Mutex<Statements>,
    used: AtomicBool,
    /// A statement ran that may have left more behind than the light reset undoes.
    marked: AtomicBool,
    broken: AtomicBool,
}

#[derive(Default)]
struct Statements {
    clock: u64,
    known: HashMap<String, (u64, Statement)>,
}

impl Session {
    /// Takes a fresh connection and drives it until it ends.
    ///
    /// # Errors
    /// None; the signature fits its callers.
    pub fn open<S, T>((client, connection): (Client, Connection<S, T>)) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tokio::spawn(connection.map(|ended| {
            if let Err(error) = ended
                && !log::is_stopping()
            {
                log::warn(&format!(
                    "a database connection ended: {}",
                    super::pool::describe(&error)
                ));
            }
        }));
        let cancel = client.cancel_token();
        Ok(Self {
            client,
            cancel,
            statements: Mutex::default(),
            used: AtomicBool::new(false),
            marked: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        })
    }

    /// The bare client, for the host's own work.
    pub fn into_client(self) -> Client {
        self.client
    }

    /// Whether a request may have it: connected, and nothing ran since the last reset.
    pub fn is_clean(&self) -> bool {
        !self.client.is_closed() && !self.was_used() && !self.broken.load(Ordering::Acquire)
    }

    /// Whether anything ran since the last reset.
    pub fn was_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// Runs a statement; its rows come as they are read.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter],
    ) -> Result<(Statement, RowStream), Error> {
        self.note(sql);
        let statement = self.prepare(sql).await?;
        match self.client.query_raw(&statement, borrow(parameters)).await {
            Err(error) if is_stale(&error) => {
                self.forget(sql);
                let statement = self.prepare(sql).await?;
                let rows = self
                    .client
                    .query_raw(&statement, borrow(parameters))
                    .await?;
                Ok((statement, rows))
            }
            outcome => outcome.map(|rows| (statement, rows)),
        }
    }

    /// Runs a statement and counts the rows that it changed.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub async fn execute(&self, sql: &str, parameters: &[Parameter]) -> Result<u64, Error> {
        self.note(sql);
        let statement = self.prepare(sql).await?;
        match self
            .client
            .execute_raw(&statement, borrow(parameters))
            .await
        {
            Err(error) if is_stale(&error) => {
                self.forget(sql);
                let statement = self.prepare(sql).await?;
                self.client
                    .execute_raw(&statement, borrow(parameters))
                    .await
            }
            outcome => outcome,
        }
    }

    fn note(&self, sql: &str) {
        self.used.store(true, Ordering::Release);
        if !is_plain(sql) {
            self.marked.store(true, Ordering::Release);
        }
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements().find(sql) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        if is_plain(sql) {
            self.statements().keep(sql, &statement);
        }
        Ok(statement)
    }

    fn forget(&self, sql: &str) {
        self.statements().known.remove(sql);
    }

    fn statements(&self) -> std::sync::MutexGuard<'_, Statements> {
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Undoes what a request set; `false` when the session must not be used again.
    pub async fn reset(&mut self) -> bool {
        if self.client.is_closed() {
            return false;
        }
        let clean = match tokio::time::timeout(RESET_LIMIT, self.undo()).await {
            Ok(clean) => clean,
            Err(_) => {
                // Something still runs that nobody waits for.
                let _ = tokio::time::timeout(RESET_LIMIT, self.cancel.cancel_query(NoTls)).await;
                false
            }
        };
        self.broken.store(!clean, Ordering::Release);
        self.used.store(!clean, Ordering::Release);
        clean
    }

    async fn undo(&self) -> bool {
        if !self.marked.load(Ordering::Acquire) {
            let light = async {
                let statement = self.prepare(LIGHT_RESET).await?;
                self.client.execute_raw(&statement, borrow(&[])).await
            };
            return light.await.is_ok();
        }
        self.statements().known.clear();
        let clean = self.client.batch_execute("ROLLBACK").await.is_ok()
            && self.client.batch_execute("RESET ROLE").await.is_ok()
            && self.client.batch_execute("DISCARD ALL").await.is_ok();
        self.marked.store(!clean, Ordering::Release);
        clean
    }
}

impl Statements {
    fn find(&mut self, sql: &str) -> Option<Statement> {
        self.clock += 1;
        let entry = self.known.get_mut(sql)?;
        entry.0 = self.clock;
        Some(entry.1.clone())
    }

    fn keep(&mut self, sql: &str, statement: &Statement) {
        if self.known.len() >= CACHED_STATEMENTS
            && let Some(oldest) = self
                .known
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(sql, _)| sql.clone())
        {
            self.known.remove(&oldest);
        }
        self.clock += 1;
        self.known
            .insert(sql.to_owned(), (self.clock, statement.clone()));
    }
}

fn borrow(parameters: &[Parameter]) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
    parameters
        .iter()
        .map(|parameter| &**parameter as &(dyn ToSql + Sync))
}

/// A cached plan that no longer fits (`0A000`), or a statement that the server has forgotten (`26000`).
/// Neither has run.
fn is_stale(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::FEATURE_NOT_SUPPORTED || *code == SqlState::INVALID_SQL_STATEMENT_NAME
    })
}

/// Whether a statement only reads or writes rows: it can open no transaction and change no setting
/// except through `set_config`.
fn is_plain(sql: &str) -> bool {
    let word: String = skip_blank(sql)
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    [
        "select", "insert", "update", "delete", "with", "values", "merge",
    ]
    .iter()
    .any(|plain| word.eq_ignore_ascii_case(plain))
}

/// Past white space, comments and opening parentheses.
fn skip_blank(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        if let Some(rest) = sql.strip_prefix("--") {
            sql = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(rest) = sql.strip_prefix("/*") {
            sql = rest.split_once("*/").map_or("", |(_, rest)| rest);
        } else {
            return sql;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_row_statements_are_plain() {
        for plain in [
            "SELECT 1",
            "  with x as (select 1) select * from x",
            "/* c */ insert into t values (1)",
            "-- c\nUPDATE t SET a = 1",
            "(select 1)",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "BEGIN",
            "start transaction",
            "SET ROLE x",
            "LISTEN a",
            "",
            "-- only",
            "CREATE TEMP TABLE t()",
            "selection",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
