//! The few traits behind which NodeAI's I/O sits: HTTP client, Postgres connection, variables, tasks.
//!
//! Libraries and handlers know only these; `nodeai-edge` implements them on a Spin host, tests implement them natively.
//! Futures are not `Send`: a guest is single-threaded.

use bytes::Bytes;
pub use futures::future::LocalBoxFuture;

/// Why an outbound HTTP request brought no response.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum SendError {
    /// The host refused the destination: not among the allowed hosts, or a private address.
    #[error("the destination is not allowed: {0}")]
    Refused(String),
    /// No response within the time limit.
    #[error("no response in time")]
    Timeout,
    /// No connection came about: the other side has got nothing.
    #[error("the request failed: {0}")]
    Unreachable(String),
    /// Protocol failure, or a connection that broke.
    #[error("the request failed: {0}")]
    Failed(String),
}

/// Sends HTTP requests and buffers their responses.
pub trait HttpClient {
    /// Sends `request` and collects the whole response body.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> LocalBoxFuture<'_, Result<http::Response<Bytes>, SendError>>;
}

/// A parameter of a SQL statement. SQL casts from these (`($1::text)::uuid`), so two kinds are enough.
#[derive(Debug, Clone, PartialEq)]
pub enum PgParam {
    /// A text value.
    Text(String),
    /// A 64-bit integer.
    Int(i64),
    /// SQL NULL.
    Null,
}

/// Why a statement or a connection failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PgError {
    /// The server could not be reached, refused the login, or the connection broke.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// The server answered with an error.
    #[error("{code}: {message}")]
    Db {
        /// SQLSTATE, five characters.
        code: String,
        /// The server's message: for logs, never for clients.
        message: String,
    },
    /// Anything else, such as a value that cannot be decoded.
    #[error("{0}")]
    Other(String),
}

/// One checked-out Postgres connection. Dropping it gives it back to the host's pool.
pub trait PgConnection {
    /// Runs one statement that yields at most one row of text columns; `None` when it yielded no row.
    fn row<'a>(
        &'a self,
        sql: &'a str,
        params: Vec<PgParam>,
    ) -> LocalBoxFuture<'a, Result<Option<Vec<Option<String>>>, PgError>>;
}

/// Opens Postgres connections.
pub trait PgConnector {
    /// Checks a connection to `url` out of the host's pool.
    fn open<'a>(
        &'a self,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<Box<dyn PgConnection>, PgError>>;
}

/// Reads configuration.
pub trait Variables {
    /// The value of the variable `name`, `None` when it is not set or empty.
    fn get<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Option<String>>;
}

/// Runs work that goes on after the response was returned.
pub trait Tasks {
    /// Starts `task`; the host keeps the instance until it has ended.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
    /// Waits `ms` milliseconds.
    fn sleep_ms(&self, ms: u64) -> LocalBoxFuture<'static, ()>;
}

/// Everything a request may need from outside.
pub trait Env: HttpClient + PgConnector + Variables + Tasks {}
impl<T: HttpClient + PgConnector + Variables + Tasks> Env for T {}
