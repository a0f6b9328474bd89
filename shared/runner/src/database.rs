//! The port to databases of the users' own.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nodeai_engine::{NodeError, SqlCall};

/// Databases of the users' own.
pub trait DatabasePort: std::fmt::Debug {
    /// Runs a statement that gives one text, or nothing.
    ///
    /// # Errors
    /// `database_refused` for a host that the operator has not listed, `connection` when it cannot be reached, `database`
    /// with the server's words when it refuses the statement.
    fn run<'a>(
        &'a self,
        call: &'a SqlCall,
    ) -> LocalBoxFuture<'a, Result<Option<String>, NodeError>>;
}

/// No databases.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDatabases;

impl DatabasePort for NoDatabases {
    fn run<'a>(&'a self, _: &'a SqlCall) -> LocalBoxFuture<'a, Result<Option<String>, NodeError>> {
        let message = "no database may be reached from here";
        async move { Err(NodeError::new("database_refused", message, false)) }.boxed_local()
    }
}
