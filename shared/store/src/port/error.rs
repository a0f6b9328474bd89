//! Why a store did not do as asked.

/// A storage failure. No variant carries an SQL message to a client; messages are for logs.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The backend does not answer; a retry may succeed.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The session's role and claims are gone: the URL leads to a transaction pooler, which hands each statement
    /// to another server connection.
    #[error("the database session was lost between two statements: a transaction pooler?")]
    SessionLost,
    /// The caller may not do this (row-level security or missing privilege).
    #[error("denied: {0}")]
    Denied(String),
    /// A value has the wrong form for its column (SQLSTATE class 22).
    #[error("bad value: {0}")]
    BadValue(String),
    /// The migrations are missing or older than this build.
    #[error("the schema is missing or out of date: {0}")]
    SchemaMissing(String),
    /// Any other answer: a defect.
    #[error("store error {code}: {message}")]
    Other {
        /// SQLSTATE or HTTP status.
        code: String,
        /// For the log.
        message: String,
    },
}

impl Error {
    /// Maps a SQLSTATE, the same for both backends.
    pub fn from_sqlstate(code: &str, message: &str) -> Self {
        let text = message.to_owned();
        match code {
            "42501" => Self::Denied(text),
            // A prepared statement that is another connection's: a transaction pooler without support for them.
            "26000" | "42P05" => Self::SessionLost,
            "42P01" | "42883" | "3F000" | "42703" | "PGRST202" | "PGRST205" | "28000" => {
                Self::SchemaMissing(text)
            }
            _ if code.starts_with("22") => Self::BadValue(text),
            // Nothing was done, and the same once more may work: a deadlock of which this was the victim, a serialisation failure.
            "40P01" | "40001" => Self::Unavailable(text),
            // Connection, resource, operator intervention, system errors; statement timeout; PostgREST cannot connect.
            _ if ["08", "53", "57", "58"].iter().any(|c| code.starts_with(c))
                || ["25006", "PGRST000", "PGRST001", "PGRST002", "PGRST003"].contains(&code) =>
            {
                Self::Unavailable(text)
            }
            _ => Self::Other {
                code: code.to_owned(),
                message: text,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_work_once_more_is_an_outage() {
        for code in ["40P01", "40001", "08006", "53300", "57014", "PGRST002"] {
            let error = Error::from_sqlstate(code, "x");
            assert_eq!(error, Error::Unavailable("x".to_owned()), "{code}");
        }
        for code in ["40002", "23505", "XX000"] {
            let error = Error::from_sqlstate(code, "x");
            assert!(matches!(error, Error::Other { .. }), "{code}");
        }
    }
}
