//! Pages of an answer: by a link to the next one, by a cursor, by page numbers or by offsets. Bounded in number and size.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::body::{ReadAs, read};
use super::{HttpCall, HttpReply};
use crate::log::{CallMeta, NodeError};
use crate::nodes::Outcome;

/// Most items of all pages together, and most bytes of all pages together.
const MOST_ITEMS: usize = 50_000;
const MOST_BYTES: usize = 20 * 1024 * 1024;

/// The schema of `pagination`.
pub(super) fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["by"],
        "description": "Fetch further pages and gather their items",
        "properties": {
            "by": {"type": "string", "enum": ["link", "cursor", "page", "offset"],
                "description": "link: the next URL, from the Link header or from next; cursor: the value at next goes into param; page and offset: param is counted up"},
            "items": {"type": "string", "maxLength": 512, "description": "JSON pointer to the list of a page, such as /data; the body itself unless given"},
            "next": {"type": "string", "maxLength": 512, "description": "JSON pointer to the next URL or cursor, such as /paging/next"},
            "param": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Query parameter of cursor, page or offset"},
            "start": {"type": "integer", "minimum": 0, "description": "First page (1) or offset (0)"},
            "max_pages": {"type": "integer", "minimum": 1, "maximum": 500, "default": 20},
            "interval_ms": {"type": "integer", "minimum": 0, "maximum": 60_000, "default": 0, "description": "Wait between pages"},
        },
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Link,
    Cursor,
    Page,
    Offset,
}

#[derive(Deserialize)]
pub(super) struct Config {
    by: By,
    items: Option<String>,
    next: Option<String>,
    param: Option<String>,
    start: Option<u64>,
    max_pages: Option<u32>,
    interval_ms: Option<u64>,
}

/// How pages follow each other, and what has come so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pages {
    by: By,
    items: String,
    next: Option<String>,
    param: String,
    position: u64,
    max_pages: u32,
    interval_ms: u64,
    gathered: Vec<Value>,
    bytes: usize,
    count: u32,
}

impl Pages {
    pub(super) fn new(config: Config) -> Result<Self, NodeError> {
        let default = match config.by {
            By::Link => Some("link"),
            By::Cursor => None,
            By::Page => Some("page"),
            By::Offset => Some("offset"),
        };
        let param = config.param.as_deref().or(default);
        let param = param.ok_or_else(|| {
            NodeError::config("/pagination/param: is required for a cursor".to_owned())
        })?;
        if config.by == By::Cursor && config.next.is_none() {
            return Err(NodeError::config(
                "/pagination/next: is required for a cursor".to_owned(),
            ));
        }
        for (name, pointer) in [("items", &config.items), ("next", &config.next)] {
            if pointer
                .as_deref()
                .is_some_and(|text| !text.is_empty() && !text.starts_with('/'))
            {
                return Err(NodeError::config(format!(
                    "/pagination/{name}: a JSON pointer begins with /"
                )));
            }
        }
        Ok(Self {
            by: config.by,
            items: config.items.unwrap_or_default(),
            next: config.next,
            param: param.to_owned(),
            position: config.start.unwrap_or(u64::from(config.by == By::Page)),
            max_pages: config.max_pages.unwrap_or(20),
            interval_ms: config.interval_ms.unwrap_or(0),
            gathered: Vec::new(),
            bytes: 0,
            count: 0,
        })
    }

    /// What they depend on.
    pub(super) fn identity(&self) -> Value {
        json!([
            self.by,
            self.items,
            self.next,
            self.param,
            self.position,
            self.max_pages
        ])
    }

    /// The URL of the page after this one, if there is one.
    fn after(
        &self,
        url: &Url,
        reply: &HttpReply,
        body: &Value,
        found: usize,
    ) -> Result<Option<Url>, NodeError> {
        let at_next = self.next.as_ref().and_then(|pointer| body.pointer(pointer));
        match self.by {
            By::Link => {
                let text = match &self.next {
                    Some(_) => at_next.and_then(Value::as_str).map(str::to_owned),
                    None => linked(&reply.headers),
                };
                let Some(text) = text.filter(|text| !text.is_empty()) else {
                    return Ok(None);
                };
                let next = url
                    .join(&text)
                    .ok()
                    .filter(|next| matches!(next.scheme(), "http" | "https"));
                let next = next.ok_or_else(|| {
                    NodeError::new("bad_page", "the link to the next page is no URL", false)
                })?;
                // The same header fields go along, and they may hold credentials.
                if next.origin() != url.origin() {
                    return Err(NodeError::new(
                        "bad_page",
                        "the link to the next page leads to another server",
                        false,
                    ));
                }
                Ok((next != *url).then_some(next))
            }
            By::Cursor => {
                let cursor = match at_next {
                    Some(Value::String(text)) if !text.is_empty() => text.clone(),
                    Some(Value::Number(number)) => number.to_string(),
                    _ => return Ok(None),
                };
                Ok(Some(with_param(url, &self.param, &cursor)))
            }
            By::Page | By::Offset if found == 0 => Ok(None),
            By::Page => Ok(Some(with_param(
                url,
                &self.param,
                &(self.position + 1).to_string(),
            ))),
            By::Offset => {
                let position = self.position + found as u64;
                Ok(Some(with_param(url, &self.param, &position.to_string())))
            }
        }
    }
}

/// The target of `rel="next"` (RFC 8288).
fn linked(headers: &http::HeaderMap) -> Option<String> {
    let fields = headers.get_all(http::header::LINK).iter();
    let links = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','));
    links.into_iter().find_map(|link| {
        let (target, params) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = params.split(';').any(|param| {
            let rel = param
                .trim()
                .strip_prefix("rel=")
                .map(|rel| rel.trim_matches('"'));
            rel.is_some_and(|rel| {
                rel.split_whitespace()
                    .any(|rel| rel.eq_ignore_ascii_case("next"))
            })
        });
        is_next.then(|| target.to_owned())
    })
}

fn with_param(url: &Url, name: &str, value: &str) -> Url {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(other, _)| other != name)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    let mut url = url.clone();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .append_pair(name, value);
    url
}

/// What follows an answer.
#[derive(Debug)]
pub enum Paged {
    /// A further page is to be fetched.
    Next(Box<HttpCall>),
    /// The end.
    Done(CallMeta, Result<Outcome, NodeError>),
}

impl HttpCall {
    /// How long to wait before the next page, in ms.
    pub fn interval_ms(&self) -> u64 {
        self.pages.as_ref().map_or(0, |pages| pages.interval_ms)
    }

    /// Takes an answer: the end, or the request for the page after it.
    pub fn next_page(mut self, reply: HttpReply) -> Paged {
        let failed = self.fail_on_status && reply.status >= 400;
        let Some(mut pages) = self.pages.take().filter(|_| !failed) else {
            let (meta, result) = self.finish(reply);
            return Paged::Done(meta, result);
        };
        // Pages are lists: whatever the output is read as, these are.
        let body = read(&reply, ReadAs::Auto).unwrap_or_default();
        let items = body.pointer(&pages.items).and_then(Value::as_array);
        let found = items.map_or(0, Vec::len);
        pages.gathered.extend(items.into_iter().flatten().cloned());
        pages.bytes += reply.body.len();
        pages.count += 1;
        if pages.gathered.len() > MOST_ITEMS || pages.bytes > MOST_BYTES {
            let message = format!(
                "the pages have more than {MOST_ITEMS} items or {} MiB",
                MOST_BYTES >> 20
            );
            return Paged::Done(
                self.meta(),
                Err(NodeError::new("response_too_large", message, false)),
            );
        }
        let next = match pages.after(&self.url, &reply, &body, found) {
            Ok(next) => next,
            Err(error) => return Paged::Done(self.meta(), Err(error)),
        };
        match next {
            Some(url) if pages.count < pages.max_pages => {
                match pages.by {
                    By::Page => pages.position += 1,
                    By::Offset => pages.position += found as u64,
                    _ => {}
                }
                let pages = Some(pages);
                Paged::Next(Box::new(HttpCall { url, pages, ..self }))
            }
            left => {
                let (meta, result) = self.finish(reply);
                let result = result.map(|mut outcome| {
                    outcome.output["items"] = Value::Array(pages.gathered);
                    outcome.output["pages"] = pages.count.into();
                    outcome.output["complete"] = left.is_none().into();
                    outcome
                });
                Paged::Done(meta, result)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(pagination: Value) -> HttpCall {
        let config: Config = serde_json::from_value(pagination).expect("a config");
        HttpCall {
            method: http::Method::GET,
            url: Url::parse("https://a.test/list?q=x&page=9").expect("a URL"),
            headers: http::HeaderMap::new(),
            body: Vec::new(),
            attached: None,
            max_response_bytes: 1_000,
            fail_on_status: true,
            connection: None,
            pages: Some(Pages::new(config).expect("valid")),
            read: crate::nodes::http::Read::Whole,
            read_as: ReadAs::Auto,
        }
    }

    fn reply(body: Value, link: Option<&str>) -> HttpReply {
        let mut headers = http::HeaderMap::new();
        headers.insert(
            "content-type",
            http::HeaderValue::from_static("application/json"),
        );
        if let Some(link) = link {
            headers.insert("link", http::HeaderValue::from_str(link).expect("a field"));
        }
        HttpReply {
            status: 200,
            headers,
            body: body.to_string().into_bytes(),
        }
    }

    fn next(paged: Paged) -> HttpCall {
        match paged {
            Paged::Next(call) => *call,
            Paged::Done(_, result) => panic!("{result:?}"),
        }
    }

    fn done(paged: Paged) -> Result<Value, String> {
        match paged {
            Paged::Next(call) => panic!("{call:?}"),
            Paged::Done(_, result) => result
                .map(|outcome| outcome.output)
                .map_err(|error| error.message),
        }
    }

    #[test]
    fn links_are_followed_within_their_server() {
        let first = call(json!({"by": "link"})).next_page(reply(
            json!([1, 2]),
            Some("</x>; rel=prev, </list?p=2>; rel=\"next\""),
        ));
        let second = next(first);
        assert_eq!(second.url.as_str(), "https://a.test/list?p=2");
        let whole = done(second.next_page(reply(json!([3]), None))).expect("an end");
        assert_eq!(
            (&whole["items"], &whole["pages"], &whole["complete"]),
            (&json!([1, 2, 3]), &json!(2), &json!(true))
        );
        let elsewhere = call(json!({"by": "link", "next": "/next"}))
            .next_page(reply(json!({"next": "https://b.test/"}), None));
        assert!(done(elsewhere).is_err_and(|message| message.contains("another server")));
    }

    #[test]
    fn cursors_pages_and_offsets_are_put_into_the_query() {
        let by = json!({"by": "cursor", "next": "/meta/next", "param": "after", "items": "/data"});
        let second =
            next(call(by).next_page(reply(json!({"data": [1], "meta": {"next": "c&1"}}), None)));
        assert_eq!(second.url.query(), Some("q=x&page=9&after=c%261"));
        let whole =
            done(second.next_page(reply(json!({"data": [2], "meta": {"next": null}}), None)))
                .expect("an end");
        assert_eq!(whole["items"], json!([1, 2]));
        let second = next(call(json!({"by": "page"})).next_page(reply(json!([1]), None)));
        assert_eq!(second.url.query(), Some("q=x&page=2"));
        assert_eq!(
            done(second.next_page(reply(json!([]), None))).expect("an end")["items"],
            json!([1])
        );
        let second = next(
            call(json!({"by": "offset", "param": "skip", "start": 10}))
                .next_page(reply(json!([1, 2, 3]), None)),
        );
        assert_eq!(second.url.query(), Some("q=x&page=9&skip=13"));
    }

    #[test]
    fn pages_are_bounded() {
        let whole =
            done(call(json!({"by": "page", "max_pages": 1})).next_page(reply(json!([1]), None)))
                .expect("an end");
        assert_eq!(whole["complete"], false);
        let many = vec![0; MOST_ITEMS + 1];
        assert!(done(call(json!({"by": "page"})).next_page(reply(json!(many), None))).is_err());
    }
}
