//! Requests to an S3-compatible store, signed: multipart upload, ranged reads, removal; and its answers.

use crate::sigv4::{self, Signer};
use bytes::Bytes;
use http::{Method, Request, header};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};

/// Bytes of a part; the least that S3 takes of all but the last is 5 MiB.
pub const PART: usize = 5 << 20;

/// How buckets are named in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `https://host/bucket/key`: most stores that are not Amazon's.
    Path,
    /// `https://bucket.host/key`; the endpoint names the bucket already, so that only this host need be allowed.
    VirtualHost,
}

/// A bucket of a store.
#[derive(Clone)]
pub struct Bucket {
    /// Scheme and authority, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// Its name.
    pub name: String,
    /// How it is named in URLs.
    pub style: Style,
    /// Who signs.
    pub signer: Signer,
}

/// A part that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// As the store has answered.
    pub etag: String,
}

/// Why no request could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the S3 endpoint is no URL of the form scheme://host")]
pub struct BadEndpoint;

/// What a request is about, beside its key.
#[derive(Default)]
struct Ask<'a> {
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'a str, &'a str)],
    body: Bytes,
}

impl Bucket {
    fn request(
        &self,
        method: Method,
        key: &str,
        ask: Ask<'_>,
        now_s: u64,
    ) -> Result<Request<Bytes>, BadEndpoint> {
        let endpoint = self.endpoint.trim_end_matches('/');
        let (scheme, authority) = endpoint.split_once("://").ok_or(BadEndpoint)?;
        let key: Vec<String> = key.split('/').map(sigv4::encode).collect();
        let key = key.join("/");
        let (host, path) = match self.style {
            Style::Path => (authority.to_owned(), format!("/{}/{key}", self.name)),
            Style::VirtualHost => (authority.to_owned(), format!("/{key}")),
        };
        let hash = sigv4::sha256_hex(&ask.body);
        let date = sigv4::amz_date(now_s);
        let mut headers = vec![
            ("host", host.as_str()),
            ("x-amz-content-sha256", hash.as_str()),
            ("x-amz-date", date.as_str()),
        ];
        headers.extend_from_slice(ask.headers);
        headers.extend(
            self.signer
                .session_token
                .iter()
                .map(|token| ("x-amz-security-token", token.as_str())),
        );
        let signed = sigv4::Request {
            method: method.as_str(),
            path: &path,
            query: ask.query,
            headers: &headers,
            body_sha256: &hash,
        };
        let authorization = self.signer.authorization(&signed, &date);
        let query = match ask.query {
            [] => String::new(),
            query => format!("?{}", sigv4::query_string(query)),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{scheme}://{host}{path}{query}"))
            .header(header::AUTHORIZATION, authorization);
        // The client writes `host` itself.
        for (name, value) in headers.iter().skip(1) {
            request = request.header(*name, *value);
        }
        request.body(ask.body).map_err(|_| BadEndpoint)
    }

    /// Stores an object in one go.
    pub fn put(&self, key: &str, body: Bytes, now_s: u64) -> Result<Request<Bytes>, BadEndpoint> {
        let ask = Ask {
            body,
            ..Ask::default()
        };
        self.request(Method::PUT, key, ask, now_s)
    }

    /// Begins a multipart upload. The answer has its id: [`upload_id`].
    pub fn begin(&self, key: &str, now_s: u64) -> Result<Request<Bytes>, BadEndpoint> {
        let ask = Ask {
            query: &[("uploads", "")],
            ..Ask::default()
        };
        self.request(Method::POST, key, ask, now_s)
    }

    /// Stores a part. The answer has its `ETag`.
    pub fn part(
        &self,
        key: &str,
        (upload, number): (&str, u32),
        body: Bytes,
        now_s: u64,
    ) -> Result<Request<Bytes>, BadEndpoint> {
        let number = number.to_string();
        let ask = Ask {
            query: &[("partNumber", &number), ("uploadId", upload)],
            body,
            ..Ask::default()
        };
        self.request(Method::PUT, key, ask, now_s)
    }

    /// Puts the parts together. The answer may be an error with the status 200: [`is_error`].
    pub fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        now_s: u64,
    ) -> Result<Request<Bytes>, BadEndpoint> {
        let part = |part: &Part| {
            let etag = quick_xml::escape::escape(part.etag.as_str()).into_owned();
            format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>",
                part.number
            )
        };
        let parts: String = parts.iter().map(part).collect();
        let body = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
        );
        let ask = Ask {
            query: &[("uploadId", upload)],
            body: body.into(),
            ..Ask::default()
        };
        self.request(Method::POST, key, ask, now_s)
    }

    /// Calls a multipart upload off.
    pub fn abort(
        &self,
        key: &str,
        upload: &str,
        now_s: u64,
    ) -> Result<Request<Bytes>, BadEndpoint> {
        let ask = Ask {
            query: &[("uploadId", upload)],
            ..Ask::default()
        };
        self.request(Method::DELETE, key, ask, now_s)
    }

    /// Reads the bytes from `first` to `last`.
    pub fn read(
        &self,
        key: &str,
        (first, last): (u64, u64),
        now_s: u64,
    ) -> Result<Request<Bytes>, BadEndpoint> {
        let range = format!("bytes={first}-{last}");
        let ask = Ask {
            headers: &[("range", &range)],
            ..Ask::default()
        };
        self.request(Method::GET, key, ask, now_s)
    }

    /// Removes an object; one that is not there is no error.
    pub fn delete(&self, key: &str, now_s: u64) -> Result<Request<Bytes>, BadEndpoint> {
        self.request(Method::DELETE, key, Ask::default(), now_s)
    }
}

/// The text of the first element `name` in an answer.
fn element(xml: &[u8], name: &str) -> Option<String> {
    let mut reader = Reader::from_str(std::str::from_utf8(xml).ok()?);
    let mut inside = false;
    let mut text = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.local_name().as_ref() == name => inside = true,
            Event::End(_) if inside => return Some(text),
            Event::Text(part) if inside => text.push_str(&part),
            // Only the five entities of XML; others are none of an answer.
            Event::GeneralRef(entity) if inside => {
                text.push_str(quick_xml::escape::resolve_predefined_entity(&entity)?);
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

/// The id of an upload that was begun.
pub fn upload_id(answer: &[u8]) -> Option<String> {
    element(answer, "UploadId").filter(|id| !id.is_empty())
}

/// Whether an answer is an error, whatever its status.
pub fn is_error(answer: &[u8]) -> bool {
    element(answer, "Code").is_some()
}

/// The error's code, such as `NoSuchKey`.
pub fn error_code(answer: &[u8]) -> String {
    element(answer, "Code").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(style: Style) -> Bucket {
        Bucket {
            endpoint: "https://s3.example.com:9000/".to_owned(),
            name: "files".to_owned(),
            style,
            signer: Signer {
                access_key: "a".to_owned(),
                secret_key: "s".to_owned(),
                session_token: Some("t".to_owned()),
                region: "us-east-1".to_owned(),
                service: "s3".to_owned(),
            },
        }
    }

    #[test]
    fn both_styles_of_urls() {
        let path = bucket(Style::Path).read("o/a b", (0, 9), 0).unwrap();
        assert_eq!(path.uri(), "https://s3.example.com:9000/files/o/a%20b");
        assert_eq!(path.headers()["range"], "bytes=0-9");
        assert_eq!(path.headers()["x-amz-security-token"], "t");
        let signed =
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        let authorization = path.headers()["authorization"].to_str().unwrap();
        assert!(authorization.contains(signed), "{authorization}");
        let host = bucket(Style::VirtualHost).delete("o/a", 0).unwrap();
        assert_eq!(host.uri(), "https://s3.example.com:9000/o/a");
    }

    #[test]
    fn queries_are_sent_as_they_are_signed() {
        let begun = bucket(Style::Path).begin("k", 0).unwrap();
        assert_eq!(begun.uri().query(), Some("uploads="));
        let part = bucket(Style::Path)
            .part("k", ("u/+", 2), Bytes::new(), 0)
            .unwrap();
        assert_eq!(part.uri().query(), Some("partNumber=2&uploadId=u%2F%2B"));
    }

    #[test]
    fn parts_are_listed_with_their_tags() {
        let parts = [Part {
            number: 1,
            etag: "\"a&b\"".to_owned(),
        }];
        let request = bucket(Style::Path).complete("k", "u", &parts, 0).unwrap();
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        assert!(body.contains("<PartNumber>1</PartNumber><ETag>&quot;a&amp;b&quot;</ETag>"));
    }

    #[test]
    fn answers_are_read() {
        let begun = b"<?xml version=\"1.0\"?><R xmlns=\"x\"><Bucket>b</Bucket><UploadId>a&amp;b</UploadId></R>";
        assert_eq!(upload_id(begun).as_deref(), Some("a&b"));
        assert!(!is_error(begun));
        let failed = b"<Error><Code>InternalError</Code></Error>";
        assert!(is_error(failed));
        assert_eq!(error_code(failed), "InternalError");
        assert_eq!(upload_id(b"<html>"), None);
    }
}
