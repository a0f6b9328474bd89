//! The port of object stores. Postgres is none of them: its bytes go through the very statement that moves an upload on.

mod config;
mod exchange;
mod s3;
mod supabase;

pub use config::Stores;

use bytes::Bytes;
use nodeai_http::Problem;
use nodeai_ports::LocalBoxFuture;
use serde::{Deserialize, Serialize};

/// What a store has of an upload; kept with the upload's row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The store's own id of the upload; none before the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// Parts, for stores that want them listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<nodeai_files::s3::Part>,
    /// All bytes, where that is known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of whole parts.
    #[serde(default)]
    pub written: u64,
}

/// Why a store did not do as asked.
#[derive(Debug)]
pub enum Fault {
    /// It does not answer, or asks to be asked later.
    Unavailable(String),
    /// It refused.
    Refused(String),
}

impl Fault {
    /// As a problem; the reason goes to the log.
    pub fn problem(self) -> Problem {
        let (Self::Unavailable(reason) | Self::Refused(reason)) = &self;
        nodeai_app::errors::log("object store", reason);
        match self {
            Self::Unavailable(_) => {
                Problem::unavailable("the file store does not answer").retry_after(2)
            }
            Self::Refused(_) => {
                Problem::unavailable("the file store refused; the log says why").retry_after(30)
            }
        }
    }

    /// By a status.
    pub(crate) fn of_status(status: http::StatusCode, what: &str) -> Self {
        let text = format!("{what}: status {status}");
        match status.is_server_error() || status.as_u16() == 429 {
            true => Self::Unavailable(text),
            false => Self::Refused(text),
        }
    }
}

/// An object store.
pub trait Objects {
    /// Bytes of a part; all but the last have exactly as many.
    fn part_bytes(&self) -> usize;

    /// Stores a part, behind those before.
    fn part<'a>(
        &'a self,
        key: &'a str,
        progress: &'a mut Progress,
        bytes: Bytes,
    ) -> LocalBoxFuture<'a, Result<(), Fault>>;

    /// Stores the last part, which may be the only one, and makes the object of them.
    fn finish<'a>(
        &'a self,
        key: &'a str,
        progress: &'a mut Progress,
        last: Bytes,
    ) -> LocalBoxFuture<'a, Result<(), Fault>>;

    /// Reads the bytes from `first` to `last`.
    fn read<'a>(
        &'a self,
        key: &'a str,
        first: u64,
        last: u64,
    ) -> LocalBoxFuture<'a, Result<Bytes, Fault>>;

    /// Removes an object, and what there is of an upload; what is not there is removed already.
    fn remove<'a>(
        &'a self,
        key: &'a str,
        progress: &'a Progress,
    ) -> LocalBoxFuture<'a, Result<(), Fault>>;
}
