//! A file's bytes, wherever they are, window by window: no more than one of them is in memory.

use crate::config::Config;
use crate::model::Stored;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use nodeai_app::{Cx, store_problem};
use nodeai_http::Problem;
use nodeai_objects::Objects;
use nodeai_store::{Error, Session, Store};
use serde::Deserialize;
use serde_json::json;
use std::rc::Rc;

/// Bytes that are read at once.
const WINDOW: u64 = 1 << 20;

/// As whom the database is asked.
#[derive(Clone)]
pub enum Reader {
    /// An admitted caller.
    Caller(Rc<Session>),
    /// The application itself, for who has shown a link.
    Link(Store),
}

/// Where a file's bytes are.
#[derive(Clone)]
pub struct Source {
    reader: Reader,
    objects: Option<(Rc<dyn Objects>, String)>,
    org_id: String,
    id: String,
}

#[derive(Deserialize)]
struct Window {
    bytes: String,
}

impl Source {
    /// The bytes of a file. Errors: 503 when its store is not configured.
    pub async fn of(
        cx: &Cx,
        reader: Reader,
        org_id: &str,
        stored: &Stored,
    ) -> Result<Self, Problem> {
        let objects = Config::of(cx).await.objects(&stored.backend)?;
        let key = stored.object_key.clone().unwrap_or_default();
        Ok(Self {
            reader,
            objects: objects.map(|objects| (objects, key)),
            org_id: org_id.to_owned(),
            id: stored.file.id.clone(),
        })
    }

    /// Bytes that are rows of the database, of a file or of an upload.
    pub fn rows(session: Rc<Session>, id: &str) -> Self {
        Self {
            org_id: session.org_id().to_owned(),
            reader: Reader::Caller(session),
            objects: None,
            id: id.to_owned(),
        }
    }

    /// The next bytes from `first` on, up to `last`; at least one. Errors: 503; 500 when there are fewer than there should be.
    pub async fn window(&self, first: u64, last: u64) -> Result<Bytes, Problem> {
        let last = last.min(first + WINDOW - 1);
        let bytes = match &self.objects {
            Some((objects, key)) => {
                self.release();
                let read = objects.read(key, first, last).await;
                read.map_err(nodeai_objects::Fault::problem)?
            }
            None => self.row_bytes(first, last - first + 1).await?,
        };
        match bytes.is_empty() || bytes.len() as u64 > last - first + 1 {
            true => Err(Problem::internal("the file's content is not all there")),
            false => Ok(bytes),
        }
    }

    /// The bytes from `first` to `last`, which the caller has bounded.
    pub async fn all(&self, first: u64, last: u64) -> Result<Bytes, Problem> {
        let mut bytes = BytesMut::new();
        while first + (bytes.len() as u64) <= last {
            let window = self.window(first + bytes.len() as u64, last).await?;
            bytes.extend_from_slice(&window);
        }
        Ok(bytes.freeze())
    }

    async fn row_bytes(&self, from: u64, most: u64) -> Result<Bytes, Problem> {
        let args = json!({"org_id": self.org_id, "id": self.id, "from": from, "most": most});
        // A slow client must not keep a connection: each window is one statement on one of its own.
        self.release();
        let read: Result<Window, Error> = match &self.reader {
            Reader::Caller(session) => session.call("file_read", &args).await,
            Reader::Link(store) => store.call_service("file_read", &args).await,
        };
        let window = read.map_err(store_problem)?;
        let bytes = BASE64_STANDARD.decode(window.bytes);
        bytes
            .map(Bytes::from)
            .map_err(|_| Problem::internal("the store gave an answer that was not expected"))
    }

    fn release(&self) {
        if let Reader::Caller(session) = &self.reader {
            session.release();
        }
    }
}
