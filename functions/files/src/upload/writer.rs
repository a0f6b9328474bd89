//! Writes an upload on: pieces come in as they come, go out in parts of the store's size, and every part moves the upload's
//! row on in the same statement. What is kept, its offset, its hash and the quota never disagree.
//!
//! A store that takes only large parts gets them whole. What is left of a request until the next one comes is kept as rows (the
//! spool), and read back then.

use super::outcome::{self, Outcome};
use crate::FilesWrite;
use crate::config::Config;
use crate::model::Upload;
use crate::source::Source;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use nodeai_app::Caller;
use nodeai_files::hash::Sha256;
use nodeai_files::{hex, media, unhex};
use nodeai_http::Problem;
use nodeai_objects::{Fault, Objects, Progress};
use serde_json::{Value, json};
use std::rc::Rc;

/// Bytes of a row of a file's content.
const ROW: usize = 1 << 20;
/// Bytes of a row of the spool. It goes as Base64 in JSON, which takes several times as much while the part before it is still there.
const SPOOL_ROW: usize = 256 << 10;

/// An upload that somebody writes on.
pub struct Writer<'a> {
    caller: &'a Caller<FilesWrite>,
    /// Its row, as it is now.
    pub upload: Upload,
    objects: Option<Rc<dyn Objects>>,
    progress: Progress,
    hash: Sha256,
    /// Bytes behind what the store has in whole parts.
    buffer: BytesMut,
    /// How many of them are rows already.
    spooled: usize,
    /// Bytes of a row.
    row: usize,
    /// The file's beginning, when this request has brought it.
    head: Vec<u8>,
}

/// A place to go back to.
pub struct Mark {
    offset: u64,
    hash: Sha256,
}

impl<'a> Writer<'a> {
    /// Goes on with an upload that was begun or taken up. Errors: 503 when its store is not configured.
    pub async fn on(caller: &'a Caller<FilesWrite>, upload: Upload) -> Result<Self, Problem> {
        let objects = Config::of(&caller.cx).await.objects(&upload.backend)?;
        // A slow client must not keep a connection: each step is one statement on one of its own.
        caller.session.release();
        let saved = upload
            .hash_state
            .as_deref()
            .map(|text| text.trim_start_matches("\\x"));
        let hash = match saved {
            Some(text) => unhex(text).and_then(|bytes| Sha256::restore(&bytes)),
            None => Some(Sha256::default()),
        };
        let (part, row) = match &objects {
            Some(objects) => (objects.part_bytes(), SPOOL_ROW),
            None => (ROW, ROW),
        };
        let mut progress = upload.backend_state.clone();
        progress.size = upload.size_bytes;
        Ok(Self {
            caller,
            objects,
            progress,
            hash: hash.ok_or_else(|| Problem::internal("the upload's hash cannot be read"))?,
            // As big as it gets from the start: growing by doubling would leave as much again behind.
            buffer: BytesMut::with_capacity(part + row),
            spooled: 0,
            row,
            head: Vec::new(),
            upload,
        })
    }

    /// Bytes that have come, kept or not yet.
    pub fn received(&self) -> u64 {
        let fresh = self.buffer.len() - self.spooled;
        self.upload.offset_bytes + fresh as u64
    }

    /// Whether all bytes have come.
    pub fn is_complete(&self) -> bool {
        self.upload.size_bytes == Some(self.received())
    }

    /// Reads the spool back, and gives the store what is a whole part of it.
    pub async fn load(&mut self) -> Result<(), Problem> {
        let Some(objects) = self.objects.clone() else {
            return Ok(());
        };
        let rows = Source::rows(self.caller.session.clone(), &self.upload.id);
        let end = self.upload.offset_bytes;
        loop {
            let at = self.progress.written + self.buffer.len() as u64;
            if at >= end {
                return Ok(());
            }
            let last = (at + self.row as u64).min(end) - 1;
            let window = rows.window(at, last).await?;
            self.spooled += window.len();
            self.buffer.extend_from_slice(&window);
            self.flush_parts(&objects).await?;
        }
    }

    /// Adds a piece. Errors: 413, 507, 409 when another request goes on with this upload.
    pub async fn push(&mut self, piece: &[u8]) -> Result<(), Problem> {
        let most = self.upload.size_bytes.unwrap_or(self.upload.most_bytes);
        if self.received() + piece.len() as u64 > most {
            let detail = format!("the file may have at most {most} bytes");
            return Err(Problem::too_large(detail));
        }
        self.note_head(piece);
        self.buffer.extend_from_slice(piece);
        match self.objects.clone() {
            Some(objects) => self.flush_parts(&objects).await,
            None => self.flush_rows(self.row).await,
        }
    }

    /// Adds a piece that may have to be taken back: only rows can be.
    pub async fn push_row(&mut self, piece: &[u8]) -> Result<(), Problem> {
        let most = self.upload.size_bytes.unwrap_or(self.upload.most_bytes);
        if self.received() + piece.len() as u64 > most {
            let detail = format!("the file may have at most {most} bytes");
            return Err(Problem::too_large(detail));
        }
        self.note_head(piece);
        self.buffer.extend_from_slice(piece);
        self.flush_rows(self.row).await
    }

    fn note_head(&mut self, piece: &[u8]) {
        if self.head.len() as u64 == self.received() {
            let room = media::HEAD - self.head.len();
            self.head.extend_from_slice(&piece[..room.min(piece.len())]);
        }
    }

    /// Where the upload is now; all that came before is kept.
    pub fn mark(&self) -> Mark {
        Mark {
            offset: self.upload.offset_bytes,
            hash: self.hash.clone(),
        }
    }

    /// Takes back what [`Writer::push_row`] has added since.
    pub async fn rewind(&mut self, mark: Mark) -> Result<(), Problem> {
        self.buffer.clear();
        self.head.clear();
        let args = json!({"org_id": self.caller.org_id(), "id": self.upload.id,
            "lease_token": self.upload.lease_token, "offset": mark.offset, "hash_state": hex(&mark.hash.save())});
        let outcome: Outcome = self.caller.call("file_upload_rewind", &args).await?;
        outcome::expect(outcome, "rewound")?;
        self.hash = mark.hash;
        self.upload.offset_bytes = mark.offset;
        Ok(())
    }

    /// Keeps what has come until the next request.
    pub async fn park(&mut self) -> Result<(), Problem> {
        if self.objects.is_some() {
            let fresh = self.buffer.split_off(self.spooled);
            self.buffer = fresh;
            self.spooled = 0;
        }
        self.flush_rows(1).await
    }

    /// Keeps `buffer` as rows while it has `least` bytes or more.
    async fn flush_rows(&mut self, least: usize) -> Result<(), Problem> {
        while self.buffer.len() >= least.max(1) {
            let row = self
                .buffer
                .split_to(self.buffer.len().min(self.row))
                .freeze();
            self.hash.update(&row);
            let bytes = BASE64_STANDARD.encode(&row);
            self.advance(row.len(), json!({"bytes": bytes})).await?;
        }
        Ok(())
    }

    /// Gives the store whole parts, but not what may be the last one.
    async fn flush_parts(&mut self, objects: &Rc<dyn Objects>) -> Result<(), Problem> {
        while self.buffer.len() > objects.part_bytes() {
            let part = self.buffer.split_to(objects.part_bytes()).freeze();
            let fresh = self.hash_fresh(&part);
            let key = self.upload.object_key.clone().unwrap_or_default();
            let stored = objects.part(&key, &mut self.progress, part).await;
            stored.map_err(Fault::problem)?;
            self.advance(fresh, self.stored()).await?;
        }
        Ok(())
    }

    /// Hashes those bytes of a part that were no rows before, and says how many they are.
    fn hash_fresh(&mut self, part: &Bytes) -> usize {
        let known = self.spooled.min(part.len());
        self.spooled -= known;
        self.hash.update(&part[known..]);
        part.len() - known
    }

    fn stored(&self) -> Value {
        json!({"backend_state": self.progress, "drop_below": self.progress.written})
    }

    async fn advance(&mut self, length: usize, more: Value) -> Result<(), Problem> {
        let mut args = json!({"org_id": self.caller.org_id(), "id": self.upload.id,
            "lease_token": self.upload.lease_token, "offset": self.upload.offset_bytes, "length": length,
            "hash_state": hex(&self.hash.save())});
        if let (Value::Object(args), Value::Object(more)) = (&mut args, more) {
            args.extend(more);
        }
        let outcome: Outcome = self.caller.call("file_upload_advance", &args).await?;
        self.caller.session.release();
        let moved = outcome::expect(outcome, "advanced")?;
        self.upload.offset_bytes = moved.offset.unwrap_or_default();
        Ok(())
    }

    /// The last bytes are kept: the content's SHA-256 (hex) and its beginning. The file itself is made by the caller.
    pub async fn finish(&mut self) -> Result<(String, Vec<u8>), Problem> {
        match self.objects.clone() {
            None => self.flush_rows(1).await?,
            // An earlier request has made the object, and then nothing of it; an empty file needs none.
            Some(_) if self.is_made() || self.received() == 0 => {}
            Some(objects) => {
                let last = std::mem::take(&mut self.buffer).freeze();
                let fresh = self.hash_fresh(&last);
                let key = self.upload.object_key.clone().unwrap_or_default();
                let begins = self.progress.written == 0;
                if begins {
                    self.head = last[..last.len().min(media::HEAD)].to_vec();
                }
                let stored = objects.finish(&key, &mut self.progress, last).await;
                stored.map_err(Fault::problem)?;
                self.progress.upload = None;
                self.progress.parts.clear();
                let end = self.upload.offset_bytes + fresh as u64;
                let more = json!({"backend_state": self.progress, "drop_below": end});
                self.advance(fresh, more).await?;
            }
        }
        let size = self.upload.offset_bytes;
        let wanted = size.min(media::HEAD as u64);
        if (self.head.len() as u64) < wanted {
            self.head = self.read_head(wanted).await?;
        }
        let hash = hex(&self.hash.clone().finish());
        Ok((hash, std::mem::take(&mut self.head)))
    }

    fn is_made(&self) -> bool {
        let all = self.upload.offset_bytes;
        all > 0
            && self.progress.written == all
            && self.progress.upload.is_none()
            && self.buffer.is_empty()
    }

    async fn read_head(&self, wanted: u64) -> Result<Vec<u8>, Problem> {
        let last = wanted - 1;
        match &self.objects {
            Some(objects) => {
                let key = self.upload.object_key.as_deref().unwrap_or_default();
                let read = objects.read(key, 0, last).await;
                read.map(Vec::from).map_err(Fault::problem)
            }
            None => {
                let rows = Source::rows(self.caller.session.clone(), &self.upload.id);
                rows.all(0, last).await.map(Vec::from)
            }
        }
    }
}
