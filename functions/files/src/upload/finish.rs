//! From an upload to a file, and what happens to one that fails.

use super::outcome::{self, Outcome};
use super::writer::Writer;
use crate::FilesWrite;
use crate::config::Config;
use crate::model::Upload;
use crate::rules::About;
use nodeai_app::{Caller, Command, clock};
use nodeai_files::{digest, media};
use nodeai_http::Problem;
use nodeai_http::reply::Response;
use serde_json::{Value, json};

/// How long an upload stays that nobody goes on with, seconds.
pub const TTL_S: u64 = 24 * 3_600;

/// Begins an upload of `size` bytes, which the quotas hold back from then on. Errors: 413, 507.
pub async fn begin(
    caller: &Caller<FilesWrite>,
    about: &About,
    size: Option<u64>,
) -> Result<Upload, Problem> {
    let config = Config::of(&caller.cx).await;
    if size.is_some_and(|size| size > config.max_bytes) {
        let detail = format!("a file may have at most {} bytes", config.max_bytes);
        return Err(Problem::too_large(detail));
    }
    // Says at once when it is not configured.
    config.objects(&config.backend)?;
    let id = clock::new_id();
    let args = json!({"org_id": caller.org_id(), "id": id, "name": about.name, "folder": about.folder,
        "tags": about.tags, "metadata": about.metadata, "size": size, "most_bytes": config.max_bytes,
        "backend": config.backend, "ttl_s": TTL_S});
    let outcome: Outcome = caller.call("file_upload_start", &args).await?;
    let started = outcome::expect(outcome, "started")?;
    started
        .upload
        .ok_or_else(|| Problem::internal("the store gave an answer that was not expected"))
}

/// Makes the file of an upload whose bytes are all there; `expected` is the SHA-256 that it must have.
///
/// Errors: 400 when it has another one.
pub async fn file(
    caller: &Caller<FilesWrite>,
    writer: &mut Writer<'_>,
    expected: Option<digest::Expected>,
) -> Result<Response, Problem> {
    let (sha256, head) = writer.finish().await?;
    if let Some(digest::Expected::Sha256(wanted)) = expected
        && nodeai_files::hex(&wanted) != sha256
    {
        let detail = format!("the content's SHA-256 is {sha256}, not the one that was sent along");
        return Err(Problem::digest_mismatch(detail));
    }
    // What makes a repeated request the same one.
    let upload = &writer.upload;
    caller
        .cx
        .digest
        .replace(Some(format!("{} {sha256}", upload.name)));
    let content_type = media::sniff(&head, &upload.name);
    let args = json!({"id": upload.id, "lease_token": upload.lease_token, "size": upload.offset_bytes,
        "sha256": sha256, "content_type": content_type});
    let location = format!("/api/v1/files/{}", upload.id);
    let command = Command::named("file_upload_finish", "file", &upload.id, args)
        .audit("file.created", json!({}))
        .answer(201, &[("location", &location)], &json!({}));
    let response = caller.write(command).await?;
    // The first answer to the same key is about the file that it made; this one is not needed.
    if response.headers().contains_key("idempotency-replayed") {
        give_up(caller, &upload.id).await;
    }
    Ok(response)
}

/// Gives an upload up that came to nothing. When that fails, it expires.
pub async fn give_up(caller: &Caller<FilesWrite>, id: &str) {
    let args = json!({"org_id": caller.org_id(), "id": id});
    let gone: Result<Value, Problem> = caller.call("file_upload_abort", &args).await;
    if let Err(problem) = gone {
        nodeai_app::errors::log("file_upload_abort", problem.slug());
    }
}
