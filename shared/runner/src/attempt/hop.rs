//! One request of a chain of redirects.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use nodeai_engine::NodeError;
use url::Url;

use crate::Secret;

/// One request of a chain of redirects.
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Hop {
    /// Adds a connection's token, which goes to its provider's hosts only. A redirect to another origin drops it.
    pub(super) fn authorize(&mut self, token: &Secret) -> Result<(), NodeError> {
        if !token.may_go_to(&self.url) {
            let host = self.url.host_str().unwrap_or("");
            return Err(NodeError::new(
                "connection_host_refused",
                format!("the connection's provider does not list {host} among its hosts"),
                false,
            ));
        }
        let value = http::HeaderValue::from_str(&format!("Bearer {}", token.value));
        let mut value = value.map_err(|_| {
            let message = "the access token cannot be sent as a header field";
            NodeError::new("connection_unusable", message, false)
        })?;
        value.set_sensitive(true);
        self.headers.insert(header::AUTHORIZATION, value);
        Ok(())
    }

    pub(super) fn request(&self) -> Result<http::Request<Bytes>, NodeError> {
        let mut url = self.url.clone();
        url.set_fragment(None);
        let request = http::Request::builder()
            .method(self.method.clone())
            .uri(url.as_str());
        let request = request.body(self.body.clone());
        let mut request =
            request.map_err(|error| NodeError::config(format!("cannot be sent: {error}")))?;
        *request.headers_mut() = self.headers.clone();
        let agent = http::HeaderValue::from_static("nodeai");
        request
            .headers_mut()
            .entry(header::USER_AGENT)
            .or_insert(agent);
        Ok(request)
    }

    /// The next hop, if the answer is a redirect (RFC 9110, section 15.4). Header fields
    /// that may hold credentials do not go to another origin.
    pub(super) fn follow(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, NodeError> {
        let to = headers
            .get(header::LOCATION)
            .and_then(|to| to.to_str().ok());
        let (301 | 302 | 303 | 307 | 308, Some(to)) = (status.as_u16(), to) else {
            return Ok(None);
        };
        let url = self.url.join(to).map_err(|_| {
            NodeError::new(
                "bad_redirect",
                "the server redirects to something that is no URL",
                false,
            )
        })?;
        let keeps = matches!(status.as_u16(), 307 | 308);
        let becomes_get = !keeps && !matches!(self.method, Method::GET | Method::HEAD);
        let mut next = Self {
            method: if becomes_get {
                Method::GET
            } else {
                self.method.clone()
            },
            headers: self.headers.clone(),
            body: if becomes_get {
                Bytes::new()
            } else {
                self.body.clone()
            },
            url,
        };
        if next.url.origin() != self.url.origin() {
            let harmless = [
                header::ACCEPT,
                header::ACCEPT_LANGUAGE,
                header::CONTENT_TYPE,
                header::USER_AGENT,
            ];
            next.headers = harmless
                .into_iter()
                .filter_map(|name| Some((name.clone(), self.headers.get(&name)?.clone())))
                .collect();
        }
        if becomes_get {
            next.headers.remove(header::CONTENT_TYPE);
        }
        Ok(Some(next))
    }
}
