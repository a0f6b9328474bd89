//! What is kept of an attempt: enough to see what went wrong, nothing that would let somebody repeat it.

use crate::signature::SIGNATURE;
use http::HeaderMap;
use serde_json::{Map, Value, json};

/// How much of an answer's body is kept, bytes.
pub const MOST_BODY: usize = 4_096;
/// How many of its header fields, and how much of each.
const MOST_FIELDS: usize = 50;
const LONGEST_FIELD: usize = 1_000;

/// The request without its signatures, with which and the message somebody could pretend to be the sender for five minutes,
/// and without `credential`, a header field of which nobody may see the value.
pub fn request(url: &str, headers: &HeaderMap, credential: &str) -> Value {
    json!({"method": "POST", "url": url, "headers": fields(headers, &[SIGNATURE, credential])})
}

/// The answer: `body` is its beginning, `whole` whether it is all of it.
pub fn response(headers: &HeaderMap, body: &[u8], whole: bool) -> Value {
    let kept = &body[..body.len().min(MOST_BODY)];
    json!({"headers": fields(headers, &["set-cookie"]), "body": text(kept),
        "truncated": !whole || kept.len() < body.len()})
}

/// Why there was no answer, cut to what a row keeps.
pub fn error(message: &str) -> String {
    text(message.as_bytes()).chars().take(500).collect()
}

fn fields(headers: &HeaderMap, without: &[&str]) -> Map<String, Value> {
    let kept = headers
        .keys()
        .filter(|name| !without.contains(&name.as_str()));
    let pair = |name: &http::HeaderName| {
        let values = headers
            .get_all(name)
            .iter()
            .map(|value| text(value.as_bytes()));
        let all = values.collect::<Vec<_>>().join(", ");
        let value: String = all.chars().take(LONGEST_FIELD).collect();
        (name.to_string(), json!(value))
    };
    kept.take(MOST_FIELDS).map(pair).collect()
}

/// Text that PostgreSQL's `jsonb` takes: there is no U+0000 in it.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_str(value).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        map
    }

    #[test]
    fn signatures_and_cookies_are_not_kept() {
        let sent = headers(&[
            ("webhook-id", "msg_1"),
            ("webhook-signature", "v1,x"),
            ("authorization", "Bearer x"),
        ]);
        let kept = request("https://a.example/", &sent, "authorization");
        assert_eq!(kept["headers"], json!({"webhook-id": "msg_1"}));
        let got = headers(&[("set-cookie", "a=b"), ("x-a", "1"), ("x-a", "2")]);
        let kept = response(&got, b"ok", true);
        assert_eq!(
            kept,
            json!({"headers": {"x-a": "1, 2"}, "body": "ok", "truncated": false})
        );
    }

    #[test]
    fn long_and_odd_answers_are_cut_and_made_text() {
        let long = vec![b'x'; MOST_BODY + 1];
        let kept = response(&HeaderMap::new(), &long, true);
        assert_eq!(kept["body"].as_str().map(str::len), Some(MOST_BODY));
        assert_eq!(kept["truncated"], true);
        let odd = response(&HeaderMap::new(), b"a\0\xffb", false);
        assert_eq!(
            (odd["body"].as_str(), &odd["truncated"]),
            (Some("a\u{fffd}\u{fffd}b"), &json!(true))
        );
        assert_eq!(error(&"é".repeat(600)).chars().count(), 500);
    }
}
