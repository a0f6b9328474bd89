//! `spin:postgres` as [`PgConnection`].

use nodeai_ports::{LocalBoxFuture, PgConnection, PgError, PgParam};
use spin_sdk::pg::{Connection, DbValue, Error, ParameterValue, PgError as HostError, QueryError};

/// A connection from the host's pool.
pub struct SpinConnection(Connection);

impl SpinConnection {
    /// Checks a connection out.
    pub async fn open(url: &str) -> Result<Self, PgError> {
        Connection::open(url).await.map(Self).map_err(pg_error)
    }

    async fn first_row(
        &self,
        sql: &str,
        params: Vec<ParameterValue>,
    ) -> Result<Option<Vec<Option<String>>>, PgError> {
        let mut result = self.0.query(sql, params).await.map_err(pg_error)?;
        let mut row = None;
        // To the end: the host says how the statement ended only to who has read all of it, and the end of a long row's statement may
        // come later than the row.
        while let Some(values) = result.rows().next().await {
            row.get_or_insert(values);
        }
        result.result().await.map_err(pg_error)?;
        let row = row.map(|values| values.into_iter().map(text).collect::<Result<_, _>>());
        row.transpose()
    }
}

impl PgConnection for SpinConnection {
    fn row<'a>(
        &'a self,
        sql: &'a str,
        params: Vec<PgParam>,
    ) -> LocalBoxFuture<'a, Result<Option<Vec<Option<String>>>, PgError>> {
        let params = params.into_iter().map(parameter).collect();
        Box::pin(self.first_row(sql, params))
    }
}

fn parameter(param: PgParam) -> ParameterValue {
    match param {
        PgParam::Text(text) => ParameterValue::Str(text),
        PgParam::Int(number) => ParameterValue::Int64(number),
        PgParam::Null => ParameterValue::DbNull,
    }
}

/// Our statements yield text columns only.
fn text(value: DbValue) -> Result<Option<String>, PgError> {
    match value {
        DbValue::Str(text) => Ok(Some(text)),
        DbValue::DbNull => Ok(None),
        _ => Err(PgError::Other("a column is not text".to_owned())),
    }
}

fn pg_error(error: Error) -> PgError {
    match error {
        Error::PgError(HostError::ConnectionFailed(text)) => PgError::Unavailable(text),
        Error::PgError(HostError::QueryFailed(QueryError::DbError(db))) => PgError::Db {
            code: db.code,
            message: db.message,
        },
        // Without a SQLSTATE it was the connection that failed, not the statement.
        Error::PgError(HostError::QueryFailed(QueryError::Text(text))) => {
            PgError::Unavailable(text)
        }
        Error::PgError(HostError::Other(text)) => PgError::Unavailable(text),
        other => PgError::Other(other.to_string()),
    }
}
