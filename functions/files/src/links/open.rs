//! `GET /api/v1/files/shared/{token}`

use crate::content::{Download, download};
use crate::model::Stored;
use crate::source::{Reader, Source};
use nodeai_app::{Visitor, clock};
use nodeai_files::link;
use nodeai_http::Problem;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Opened {
    inline: bool,
    file: Option<Linked>,
}

#[derive(Deserialize)]
struct Linked {
    org_id: String,
    #[serde(flatten)]
    stored: Stored,
}

/// The content of a link's file: its signature is checked first, and then whether it was revoked.
pub async fn handle(visitor: Visitor) -> Result<Download, Problem> {
    let cx = &visitor.cx;
    let token = cx.parameter("token").unwrap_or_default();
    let now_s = u64::try_from(clock::now_us() / 1_000_000).unwrap_or(u64::MAX);
    let checked = link::check(&super::keys(cx)?, token, now_s);
    checked.map_err(|why| Problem::not_found(why.to_string()))?;
    let args = json!({"token_hash": link::token_hash(token)});
    let opened: Opened = visitor.call("file_link_open", args).await?;
    let linked = opened
        .file
        .ok_or_else(|| Problem::not_found("this link was revoked, or its file was removed"))?;
    let reader = Reader::Link(cx.store()?);
    let source = Source::of(cx, reader, &linked.org_id, &linked.stored).await?;
    download(cx, source, &linked.stored.file, opened.inline).await
}
