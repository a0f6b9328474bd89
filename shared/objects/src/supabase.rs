//! Supabase Storage.

use crate::exchange::exchange;
use crate::{Fault, Objects, Progress};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use nodeai_files::supabase::{Bucket, PART};
use nodeai_ports::{Env, LocalBoxFuture};
use std::rc::Rc;

/// A bucket, and the way to it.
pub struct Supabase {
    bucket: Bucket,
    env: Rc<dyn Env>,
}

impl Supabase {
    /// A bucket over the host's HTTP client.
    pub fn new(bucket: Bucket, env: Rc<dyn Env>) -> Self {
        Self { bucket, env }
    }

    async fn send(
        &self,
        what: &str,
        request: Result<Request<Bytes>, http::Error>,
    ) -> Result<Response<Bytes>, Fault> {
        let what = format!("Supabase Storage {what}");
        let request = request.map_err(|error| Fault::Refused(format!("{what}: {error}")))?;
        let sent = exchange(&*self.env, request).await;
        let answer = sent.map_err(|error| Fault::Unavailable(format!("{what}: {error}")))?;
        match answer.status().is_success() {
            true => Ok(answer),
            false if says_missing(&answer) => Err(Fault::Refused(format!("{what}: {MISSING}"))),
            false => Err(Fault::of_status(answer.status(), &what)),
        }
    }

    /// Writes a piece; with `size` it is the last one of an upload that was begun without.
    async fn piece(
        &self,
        key: &str,
        progress: &mut Progress,
        bytes: Bytes,
        size: Option<u64>,
    ) -> Result<(), Fault> {
        let location = match &progress.upload {
            Some(location) => location.clone(),
            None => {
                let answer = self
                    .send("begin", self.bucket.begin(key, progress.size))
                    .await?;
                let location = answer.headers().get(header::LOCATION);
                let location = location
                    .and_then(|value| value.to_str().ok())
                    .ok_or_else(|| Fault::Refused("Supabase Storage: no Location".to_owned()))?;
                progress.upload.insert(location.to_owned()).clone()
            }
        };
        let end = progress.written + bytes.len() as u64;
        let request = self.bucket.piece(&location, progress.written, size, bytes);
        match self.send("piece", request).await {
            Err(fault) if !self.has(&location, end).await => return Err(fault),
            _ => progress.written = end,
        }
        Ok(())
    }

    /// Whether the store has a piece that it did not take now: whoever sent it before was cut off before the answer was kept.
    async fn has(&self, location: &str, end: u64) -> bool {
        let Ok(answer) = self.send("offset", self.bucket.offset(location)).await else {
            return false;
        };
        let offset = answer.headers().get("upload-offset");
        let offset = offset.and_then(|value| value.to_str().ok()?.parse().ok());
        offset == Some(end)
    }

    async fn finish(&self, key: &str, progress: &mut Progress, last: Bytes) -> Result<(), Fault> {
        if progress.upload.is_none() {
            progress.written = last.len() as u64;
            self.send("put", self.bucket.put(key, last)).await?;
            return Ok(());
        }
        let size = progress.written + last.len() as u64;
        let said_later = progress.size.is_none().then_some(size);
        let done = self.piece(key, progress, last, said_later).await;
        // Of an upload that has ended the store knows no more but its object, whose key no other has.
        match done {
            Err(_) if size > 0 && self.read(key, size - 1, size - 1).await.is_ok() => Ok(()),
            done => done,
        }
    }

    async fn read(&self, key: &str, first: u64, last: u64) -> Result<Bytes, Fault> {
        let request = self.bucket.read(key, first, last);
        Ok(self.send("read", request).await?.into_body())
    }

    async fn remove(&self, key: &str, progress: &Progress) -> Result<(), Fault> {
        if let Some(location) = &progress.upload {
            gone(self.send("abort", self.bucket.abort(location)).await)?;
        }
        gone(self.send("delete", self.bucket.delete(key)).await)
    }
}

const MISSING: &str = "there is no such object";

/// Supabase answers 400 with `"statusCode":"404"` for an object that is not there.
fn says_missing(answer: &Response<Bytes>) -> bool {
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let said = body["statusCode"].as_str() == Some("404");
    said || matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::GONE)
}

fn gone(sent: Result<Response<Bytes>, Fault>) -> Result<(), Fault> {
    match sent {
        Err(Fault::Refused(text)) if text.ends_with(MISSING) => Ok(()),
        other => other.map(drop),
    }
}

impl Objects for Supabase {
    fn part_bytes(&self) -> usize {
        PART
    }

    fn part<'a>(
        &'a self,
        key: &'a str,
        progress: &'a mut Progress,
        bytes: Bytes,
    ) -> LocalBoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.piece(key, progress, bytes, None))
    }

    fn finish<'a>(
        &'a self,
        key: &'a str,
        progress: &'a mut Progress,
        last: Bytes,
    ) -> LocalBoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.finish(key, progress, last))
    }

    fn read<'a>(
        &'a self,
        key: &'a str,
        first: u64,
        last: u64,
    ) -> LocalBoxFuture<'a, Result<Bytes, Fault>> {
        Box::pin(self.read(key, first, last))
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        progress: &'a Progress,
    ) -> LocalBoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.remove(key, progress))
    }
}
