//! Postgres errors as `spin:postgres` has them.
use tokio_postgres::error::DbError as PgDbError;

use super::pg::{DbError, Error, QueryError};

/// A statement that failed.
pub fn query_failed(error: &tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    Error::QueryFailed(match error.as_db_error() {
        None => QueryError::Text(as_text),
        Some(db) => QueryError::DbError(DbError {
            as_text,
            severity: db.severity().to_owned(),
            code: db.code().code().to_owned(),
            message: db.message().to_owned(),
            detail: db.detail().map(str::to_owned),
            extras: extras(db),
        }),
    })
}

/// A connection that was not made.
pub fn connection_failed(error: impl std::fmt::Display) -> Error {
    Error::ConnectionFailed(error.to_string())
}

fn extras(db: &PgDbError) -> Vec<(String, String)> {
    let line = db.line().map(|line| line.to_string());
    let named = [
        ("column", db.column()),
        ("constraint", db.constraint()),
        ("routine", db.routine()),
        ("hint", db.hint()),
        ("table", db.table()),
        ("datatype", db.datatype()),
        ("schema", db.schema()),
        ("file", db.file()),
        ("line", line.as_deref()),
        ("where_", db.where_()),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect()
}
