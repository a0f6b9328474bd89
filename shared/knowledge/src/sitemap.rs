//! URLs of a sitemap (<https://www.sitemaps.org/protocol.html>).

use quick_xml::Reader;
use quick_xml::events::Event;

/// What a sitemap names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// Pages, as they are written.
    pub pages: Vec<String>,
    /// Other sitemaps.
    pub sitemaps: Vec<String>,
}

/// Reads one. Of more than `most` pages the first count. None for what is no sitemap.
pub fn read(xml: &str, most: usize) -> Option<Sitemap> {
    let mut reader = Reader::from_str(xml);
    let mut found = Sitemap::default();
    let mut way: Vec<String> = Vec::new();
    let mut is_sitemap = false;
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let name = start.local_name().as_ref().to_owned();
                is_sitemap |= way.is_empty() && matches!(&*name, "urlset" | "sitemapindex");
                way.push(name);
                text.clear();
                if way.len() > 16 {
                    return None;
                }
            }
            Event::Text(part) => text.push_str(&part),
            Event::CData(part) => text.push_str(&part),
            Event::GeneralRef(entity) => {
                let written = format!("&{};", &*entity);
                if let Ok(plain) = quick_xml::escape::unescape(&written) {
                    text.push_str(&plain);
                }
            }
            Event::End(_) => {
                let names: Vec<&str> = way.iter().map(String::as_str).collect();
                let url = text.trim();
                match names.as_slice() {
                    ["urlset", "url", "loc"] if found.pages.len() < most => {
                        found.pages.push(url.to_owned());
                    }
                    ["sitemapindex", "sitemap", "loc"] if found.sitemaps.len() < most => {
                        found.sitemaps.push(url.to_owned());
                    }
                    _ => {}
                }
                way.pop();
                text.clear();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    is_sitemap.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_sitemaps_are_told_apart() {
        let xml = r#"<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
            <url><loc> https://a.example/?x=1&amp;y=2 </loc><lastmod>2026-01-01</lastmod></url>
            <url><loc>https://a.example/b</loc></url></urlset>"#;
        let found = read(xml, 10).unwrap();
        assert_eq!(
            found.pages,
            ["https://a.example/?x=1&y=2", "https://a.example/b"]
        );
        assert_eq!(read(xml, 1).unwrap().pages.len(), 1);
        let index =
            "<sitemapindex><sitemap><loc>https://a.example/s.xml</loc></sitemap></sitemapindex>";
        assert_eq!(
            read(index, 10).unwrap().sitemaps,
            ["https://a.example/s.xml"]
        );
        assert_eq!(read("<html><body>no</body></html>", 10), None);
        assert_eq!(read("<urlset><url>", 10).map(|s| s.pages.len()), Some(0));
    }
}
