//! Postgres errors as store errors.

use crate::port::Error;
use nodeai_ports::PgError;

/// Maps a connection's error. A privilege error inside an admitted session means that the session is not ours.
pub(crate) fn from_pg(error: PgError) -> Error {
    match error {
        // How pgbouncer refuses settings in the URL's options.
        PgError::Unavailable(text) if text.contains("unsupported startup parameter") => {
            Error::SessionLost
        }
        PgError::Unavailable(text) => Error::Unavailable(text),
        PgError::Db { code, message }
            if code == "42501" && message.starts_with("permission denied") =>
        {
            Error::SessionLost
        }
        PgError::Db { code, message } => Error::from_sqlstate(&code, &message),
        PgError::Other(text) => Error::Other {
            code: "driver".to_owned(),
            message: text,
        },
    }
}
