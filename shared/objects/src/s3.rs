//! An S3-compatible store.

use crate::exchange::exchange;
use crate::{Fault, Objects, Progress};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use nodeai_app::clock;
use nodeai_files::s3::{self, BadEndpoint, Bucket, Part};
use nodeai_ports::{Env, LocalBoxFuture};
use std::rc::Rc;

/// A bucket, and the way to it.
pub struct S3 {
    bucket: Bucket,
    env: Rc<dyn Env>,
}

fn now_s() -> u64 {
    u64::try_from(clock::now_us() / 1_000_000).unwrap_or(0)
}

impl S3 {
    /// A bucket over the host's HTTP client.
    pub fn new(bucket: Bucket, env: Rc<dyn Env>) -> Self {
        Self { bucket, env }
    }

    /// Sends a request; an answer that is no success is a fault with the error's code.
    async fn send(
        &self,
        what: &str,
        request: Result<Request<Bytes>, BadEndpoint>,
    ) -> Result<Response<Bytes>, Fault> {
        let request = request.map_err(|error| Fault::Refused(error.to_string()))?;
        let sent = exchange(&*self.env, request).await;
        let answer = sent.map_err(|error| Fault::Unavailable(format!("S3 {what}: {error}")))?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => {
                let code = s3::error_code(answer.body());
                Err(Fault::of_status(
                    answer.status(),
                    &format!("S3 {what}: {code}"),
                ))
            }
        }
    }

    async fn begun(&self, key: &str, progress: &mut Progress) -> Result<String, Fault> {
        if let Some(upload) = &progress.upload {
            return Ok(upload.clone());
        }
        let answer = self.send("begin", self.bucket.begin(key, now_s())).await?;
        let upload = s3::upload_id(answer.body())
            .ok_or_else(|| Fault::Refused("S3 begin: no upload id".to_owned()))?;
        progress.upload = Some(upload.clone());
        Ok(upload)
    }

    async fn part(&self, key: &str, progress: &mut Progress, bytes: Bytes) -> Result<(), Fault> {
        let upload = self.begun(key, progress).await?;
        let number = progress.parts.last().map_or(1, |part| part.number + 1);
        let length = bytes.len() as u64;
        let request = self.bucket.part(key, (&upload, number), bytes, now_s());
        let answer = self.send("part", request).await?;
        let etag = answer.headers().get(http::header::ETAG);
        let etag = etag
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        progress.parts.push(Part {
            number,
            etag: etag.to_owned(),
        });
        progress.written += length;
        Ok(())
    }

    async fn finish(&self, key: &str, progress: &mut Progress, last: Bytes) -> Result<(), Fault> {
        let Some(upload) = progress.upload.clone() else {
            progress.written = last.len() as u64;
            self.send("put", self.bucket.put(key, last, now_s()))
                .await?;
            return Ok(());
        };
        if !last.is_empty() {
            self.part(key, progress, last).await?;
        }
        let request = self.bucket.complete(key, &upload, &progress.parts, now_s());
        let answer = self.send("complete", request).await?;
        match s3::is_error(answer.body()) {
            true => Err(Fault::Refused(format!(
                "S3 complete: {}",
                s3::error_code(answer.body())
            ))),
            false => Ok(()),
        }
    }

    async fn read(&self, key: &str, first: u64, last: u64) -> Result<Bytes, Fault> {
        let request = self.bucket.read(key, (first, last), now_s());
        Ok(self.send("read", request).await?.into_body())
    }

    async fn remove(&self, key: &str, progress: &Progress) -> Result<(), Fault> {
        if let Some(upload) = &progress.upload {
            let request = self.bucket.abort(key, upload, now_s());
            gone(self.send("abort", request).await)?;
        }
        gone(self.send("delete", self.bucket.delete(key, now_s())).await)
    }
}

/// What is not there is removed already.
fn gone(sent: Result<Response<Bytes>, Fault>) -> Result<(), Fault> {
    match sent {
        Err(Fault::Refused(text)) if text.ends_with(&StatusCode::NOT_FOUND.to_string()) => Ok(()),
        other => other.map(drop),
    }
}

impl Objects for S3 {
    fn part_bytes(&self) -> usize {
        s3::PART
    }

    fn part<'a>(
        &'a self,
        key: &'a str,
        progress: &'a mut Progress,
        bytes: Bytes,
    ) -> LocalBoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.part(key, progress, bytes))
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
