//! Requests to Supabase Storage: small objects in one go (`/storage/v1/object`), large ones by its resumable uploads
//! (`/storage/v1/upload/resumable`, which is tus with pieces of 6 MiB), ranged reads, removal.

use crate::sigv4::encode;
use crate::tus;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Method, Request, header};

/// Bytes of a piece: Supabase takes exactly 6 MiB of all but the last.
pub const PART: usize = 6 << 20;

/// A bucket of a project.
#[derive(Clone)]
pub struct Bucket {
    /// The project's URL.
    pub url: String,
    /// The bucket's name.
    pub name: String,
    /// The project's service key.
    pub service_key: String,
}

impl Bucket {
    fn request(&self, method: Method, url: String) -> http::request::Builder {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("apikey", &self.service_key);
        // Keys of the new kind (`sb_secret_…`) are no tokens and go in `apikey` alone.
        match self.service_key.starts_with("eyJ") {
            true => request.header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.service_key),
            ),
            false => request,
        }
    }

    fn object(&self, key: &str) -> String {
        let parts: Vec<String> = key.split('/').map(encode).collect();
        let base = self.url.trim_end_matches('/');
        format!(
            "{base}/storage/v1/object/{}/{}",
            encode(&self.name),
            parts.join("/")
        )
    }

    /// Stores an object in one go; what is there under the key is replaced.
    pub fn put(&self, key: &str, body: Bytes) -> Result<Request<Bytes>, http::Error> {
        self.request(Method::POST, self.object(key))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header("x-upsert", "true")
            .body(body)
    }

    /// Begins a resumable upload of a size that may not be known yet. The answer's `Location` is where pieces go.
    pub fn begin(&self, key: &str, size: Option<u64>) -> Result<Request<Bytes>, http::Error> {
        let base = self.url.trim_end_matches('/');
        let url = format!("{base}/storage/v1/upload/resumable");
        let named = [
            ("bucketName", self.name.as_str()),
            ("objectName", key),
            ("contentType", "application/octet-stream"),
        ];
        let pairs = named.map(|(name, value)| format!("{name} {}", BASE64_STANDARD.encode(value)));
        let request = self
            .request(Method::POST, url)
            .header("tus-resumable", tus::VERSION)
            .header("upload-metadata", pairs.join(","))
            .header("x-upsert", "true");
        let request = match size {
            Some(size) => request.header("upload-length", size),
            None => request.header("upload-defer-length", 1),
        };
        request.body(Bytes::new())
    }

    /// Writes a piece at `offset`; `size` says all bytes, with the last piece of an upload that was begun without.
    pub fn piece(
        &self,
        location: &str,
        offset: u64,
        size: Option<u64>,
        body: Bytes,
    ) -> Result<Request<Bytes>, http::Error> {
        let mut request = self
            .request(Method::PATCH, self.located(location))
            .header("tus-resumable", tus::VERSION)
            .header("upload-offset", offset)
            .header(header::CONTENT_TYPE, tus::MEDIA_TYPE);
        if let Some(size) = size {
            request = request.header("upload-length", size);
        }
        request.body(body)
    }

    /// Asks how far a resumable upload is: the answer's `Upload-Offset` says it.
    pub fn offset(&self, location: &str) -> Result<Request<Bytes>, http::Error> {
        self.request(Method::HEAD, self.located(location))
            .header("tus-resumable", tus::VERSION)
            .body(Bytes::new())
    }

    /// Calls a resumable upload off.
    pub fn abort(&self, location: &str) -> Result<Request<Bytes>, http::Error> {
        self.request(Method::DELETE, self.located(location))
            .header("tus-resumable", tus::VERSION)
            .body(Bytes::new())
    }

    /// Behind a proxy the location has another origin than we use; only its path counts, and no other host gets the key.
    fn located(&self, location: &str) -> String {
        let base = self.url.trim_end_matches('/');
        let path = location
            .find("/upload/resumable/")
            .map_or("", |at| &location[at..]);
        format!("{base}/storage/v1{path}")
    }

    /// Reads the bytes from `first` to `last`.
    pub fn read(&self, key: &str, first: u64, last: u64) -> Result<Request<Bytes>, http::Error> {
        self.request(Method::GET, self.object(key))
            .header(header::RANGE, format!("bytes={first}-{last}"))
            .body(Bytes::new())
    }

    /// Removes an object.
    pub fn delete(&self, key: &str) -> Result<Request<Bytes>, http::Error> {
        self.request(Method::DELETE, self.object(key))
            .body(Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(service_key: &str) -> Bucket {
        Bucket {
            url: "https://x.supabase.co/".to_owned(),
            name: "files".to_owned(),
            service_key: service_key.to_owned(),
        }
    }

    #[test]
    fn only_tokens_are_bearers() {
        let old = bucket("eyJh").put("o/k", Bytes::new()).unwrap();
        assert_eq!(
            old.uri(),
            "https://x.supabase.co/storage/v1/object/files/o/k"
        );
        assert_eq!(old.headers()["authorization"], "Bearer eyJh");
        let new = bucket("sb_secret_x").put("o/k", Bytes::new()).unwrap();
        assert!(!new.headers().contains_key("authorization"));
        assert_eq!(new.headers()["apikey"], "sb_secret_x");
    }

    #[test]
    fn no_other_host_gets_the_key() {
        let location = "https://evil.example/storage/v1/upload/resumable/abc";
        let piece = bucket("k").piece(location, 0, None, Bytes::new()).unwrap();
        assert_eq!(
            piece.uri(),
            "https://x.supabase.co/storage/v1/upload/resumable/abc"
        );
        assert_eq!(piece.headers()["upload-offset"], "0");
    }

    #[test]
    fn a_length_that_is_not_known_is_put_off() {
        let begun = bucket("k").begin("o/k", None).unwrap();
        assert_eq!(begun.headers()["upload-defer-length"], "1");
        let metadata = begun.headers()["upload-metadata"].to_str().unwrap();
        let pairs = tus::metadata(metadata).unwrap();
        assert_eq!(
            (pairs["bucketName"].as_str(), pairs["objectName"].as_str()),
            ("files", "o/k")
        );
        let begun = bucket("k").begin("o/k", Some(7)).unwrap();
        assert_eq!(begun.headers()["upload-length"], "7");
    }
}
