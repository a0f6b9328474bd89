//! What a URL has, through the guard, and the text of it.

use super::trouble::{Trouble, Why};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, select};
use http::{HeaderMap, Request, header};
use http_body_util::BodyDataStream;
use nodeai_app::{Cx, errors::log};
use nodeai_edge::http_client;
use nodeai_files::media::{HEAD, UNKNOWN, sniff};
use nodeai_guard::UrlGuard;
use serde::Deserialize;
use std::pin::pin;
use url::Url;

/// Most bytes that are read, redirects that are followed, and ms for all of it.
const MOST_BYTES: usize = 16 << 20;
const MOST_HOPS: usize = 5;
const TIMEOUT_MS: u64 = 30_000;
/// The component that takes text out of documents: nobody's URL leads there.
const EXTRACT: &str = "http://extract.spin.internal/";

/// What a URL has.
pub struct Fetched {
    /// Where it was at last.
    pub url: Url,
    /// Media type as the server says it.
    pub content_type: String,
    /// The content.
    pub body: Bytes,
}

/// A document's text.
#[derive(Deserialize)]
pub struct Extracted {
    /// What was read: `html`, `pdf`, …
    pub format: String,
    /// The text.
    pub text: String,
    /// Its parts.
    #[serde(default)]
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    kind: String,
    title: String,
}

impl Extracted {
    /// The first heading.
    pub fn title(&self) -> Option<&str> {
        let heading = self
            .sections
            .iter()
            .find(|section| section.kind == "heading");
        heading
            .map(|section| section.title.trim())
            .filter(|title| !title.is_empty())
    }
}

/// Fetches a URL; each hop is checked.
pub async fn fetch(cx: &Cx, guard: &UrlGuard, url: &str) -> Result<Fetched, Trouble> {
    let exchange = pin!(hops(guard, url));
    match select(exchange, cx.env().sleep_ms(TIMEOUT_MS)).await {
        Either::Left((fetched, _)) => fetched,
        Either::Right(_) => Err(Trouble::later(
            "timeout",
            "the source did not answer within 30 seconds",
        )),
    }
}

async fn hops(guard: &UrlGuard, url: &str) -> Result<Fetched, Trouble> {
    let mut url = Url::parse(url).map_err(|error| Trouble::never("url", error.to_string()))?;
    for _ in 0..=MOST_HOPS {
        guard
            .check(&url)
            .map_err(|refused| Trouble::never("url_refused", refused.to_string()))?;
        let (status, headers, body) = exchange(&url).await?;
        match status {
            200 => {
                let kind = headers
                    .get(header::CONTENT_TYPE)
                    .and_then(|v| v.to_str().ok());
                let content_type = kind.unwrap_or("application/octet-stream").to_owned();
                return Ok(Fetched {
                    url,
                    content_type,
                    body,
                });
            }
            301 | 302 | 303 | 307 | 308 => {
                let place = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
                let next = place.and_then(|place| url.join(place).ok());
                url = next
                    .ok_or_else(|| Trouble::never("redirect", "the source redirects to nowhere"))?;
            }
            408 | 425 | 429 | 500.. => {
                let why = Why::new("source_status", format!("the source answered {status}"));
                return Err(Trouble::Later(why, retry_after_ms(&headers)));
            }
            _ => {
                return Err(Trouble::never(
                    "source_status",
                    format!("the source answered {status}"),
                ));
            }
        }
    }
    Err(Trouble::never(
        "redirect",
        "the source redirects more than five times",
    ))
}

async fn exchange(url: &Url) -> Result<(u16, HeaderMap, Bytes), Trouble> {
    let request = Request::get(url.as_str())
        .header(header::ACCEPT, "text/html, text/markdown, text/plain, application/pdf, application/xml;q=0.9, */*;q=0.5")
        .header(header::USER_AGENT, "NodeAI")
        .body(Bytes::new())
        .map_err(|error| Trouble::never("url", error.to_string()))?;
    let answer = http_client::send(request).await;
    let answer = answer.map_err(|error| Trouble::later("connection", error.to_string()))?;
    let (parts, body) = answer.into_parts();
    let mut chunks = BodyDataStream::new(body);
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Trouble::later("connection", "the answer broke off"))?;
        if whole.len() + chunk.len() > MOST_BYTES {
            return Err(Trouble::never(
                "too_large",
                "the source has more than 16 MiB",
            ));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok((parts.status.as_u16(), parts.headers, whole.into()))
}

fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(seconds.min(86_400) * 1_000)
}

#[derive(Deserialize)]
struct Refusal {
    detail: String,
}

/// The text of what was fetched, taken out by the component that reads documents of strangers.
pub async fn extract(cx: &Cx, fetched: &Fetched) -> Result<Extracted, Trouble> {
    let name = fetched
        .url
        .path_segments()
        .and_then(|mut parts| parts.next_back());
    let mut target =
        Url::parse(EXTRACT).map_err(|error| Trouble::never("url", error.to_string()))?;
    let plain = fetched
        .content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    // Servers say that of what they do not know.
    let plain = match plain {
        UNKNOWN | "binary/octet-stream" => {
            let head = &fetched.body[..fetched.body.len().min(HEAD)];
            sniff(head, name.unwrap_or_default())
        }
        known => known,
    };
    target
        .query_pairs_mut()
        .append_pair("type", plain)
        .append_pair("name", name.unwrap_or_default());
    let request = Request::post(target.as_str())
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(fetched.body.clone())
        .map_err(|error| Trouble::never("url", error.to_string()))?;
    let answer = cx.env().send(request).await.map_err(|error| {
        log("extract", &error.to_string());
        Trouble::later("unreadable", "the document could not be read in time")
    })?;
    match answer.status().as_u16() {
        200 => serde_json::from_slice(answer.body()).map_err(|_| {
            Trouble::never(
                "unreadable",
                "the text came in a form that was not expected",
            )
        }),
        _ => {
            let refusal: Option<Refusal> = serde_json::from_slice(answer.body()).ok();
            let detail = refusal.map_or("the document ended who read it".to_owned(), |r| r.detail);
            Err(Trouble::never("unreadable", detail))
        }
    }
}
