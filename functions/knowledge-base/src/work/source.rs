//! Where documents come from: a URL, or a sitemap with many.

use super::fetch::{extract, fetch};
use super::job::{Document, Job};
use super::trouble::Trouble;
use crate::rules;
use nodeai_app::clock;
use nodeai_knowledge::sitemap;
use serde_json::{Value, json};
use url::Url;

/// Most pages of a sitemap, and sitemaps of an index of them.
const MOST_PAGES: usize = 2_000;
const MOST_SITEMAPS: usize = 20;

impl Job<'_> {
    /// The text that a document's URL has now; none when it is what the document has already, which ends the job.
    pub(super) async fn source(&self, document: &Document) -> Result<Option<String>, Trouble> {
        let uri = document.source_uri.as_deref().unwrap_or_default();
        let fetched = fetch(&self.caller.cx, self.guard, uri).await?;
        let read = extract(&self.caller.cx, &fetched).await?;
        let title: Option<String> = read
            .title()
            .map(|title| title.chars().take(1_000).collect());
        let kind = match read.format.as_str() {
            "markdown" => "text/markdown",
            "html" => "text/html",
            _ => "text/plain",
        };
        let text: String = rules::storable(read.text)
            .chars()
            .take(rules::MOST_CONTENT)
            .collect();
        if text.trim().is_empty() {
            return Err(Trouble::never("empty", "the source has no text"));
        }
        let more = json!({"content": text, "content_hash": rules::hash(&text), "content_type": kind,
            "title": title.map(rules::storable)});
        let answer = self.step("content", more).await?;
        Ok(answer["changed"].as_bool().unwrap_or(true).then_some(text))
    }

    /// Makes the pages of a sitemap documents, those that the base does not have; ends the job.
    pub(super) async fn sitemap(&self, document: &Document) -> Result<(), Trouble> {
        let uri = document.source_uri.as_deref().unwrap_or_default();
        let first = self.read_sitemap(uri).await?;
        let mut pages = first.pages;
        for one in first.sitemaps.iter().take(MOST_SITEMAPS) {
            if pages.len() >= MOST_PAGES {
                break;
            }
            pages.extend(self.read_sitemap(one).await?.pages);
        }
        pages.truncate(MOST_PAGES);
        let mut seen = std::collections::BTreeSet::new();
        let fits = |text: &String| {
            let url = Url::parse(text).ok()?;
            (text.len() <= 2_048 && self.guard.check(&url).is_ok()).then_some(url)
        };
        let pages = pages.iter().filter_map(fits).map(String::from);
        let rows: Vec<Value> = pages
            .filter(|page| seen.insert(page.clone()))
            .map(|page| {
                let title: String = page.chars().take(1_000).collect();
                json!({"id": clock::new_id(), "title": title, "source_kind": "url", "source_uri": page})
            })
            .collect();
        if rows.is_empty() {
            return Err(Trouble::never(
                "empty",
                "the sitemap has no page that may be fetched",
            ));
        }
        self.step("found", json!({"documents": rows})).await?;
        Ok(())
    }

    async fn read_sitemap(&self, uri: &str) -> Result<sitemap::Sitemap, Trouble> {
        let fetched = fetch(&self.caller.cx, self.guard, uri).await?;
        let text = String::from_utf8_lossy(&fetched.body);
        sitemap::read(&text, MOST_PAGES)
            .ok_or_else(|| Trouble::never("sitemap", "what the URL has is no sitemap"))
    }
}
