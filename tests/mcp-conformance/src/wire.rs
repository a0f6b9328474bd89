//! The client's HTTP: requests over a socket, with a token where there is one.

use crate::oauth::Grants;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderValue, Request, header};
use nodeai_mcp::client::{Fault, Incoming, Transport};

/// How often a refusal is answered with another token.
const MOST_TOKENS: usize = 3;

/// Carries requests.
pub struct Wire {
    http: reqwest::Client,
    grants: Grants,
}

/// A client that follows no redirects.
pub fn http() -> reqwest::Client {
    let built = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build();
    built.expect("a client")
}

impl Wire {
    /// To one server; `grants` gets tokens.
    pub fn new(grants: Grants) -> Self {
        Self {
            http: http(),
            grants,
        }
    }

    async fn once(&self, request: &Request<Bytes>) -> Result<Incoming, Fault> {
        let (mut parts, body) = request.clone().into_parts();
        if let Some(token) = self.grants.token() {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            parts
                .headers
                .insert(header::AUTHORIZATION, value.map_err(|e| failed(&e))?);
        }
        let request = reqwest::Request::try_from(Request::from_parts(parts, body));
        let sent = self.http.execute(request.map_err(|e| failed(&e))?).await;
        let response = sent.map_err(|e| failed(&e))?;
        Ok(Incoming {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response
                .bytes_stream()
                .map_err(|e| failed(&e))
                .boxed_local(),
        })
    }
}

fn failed(error: &dyn std::error::Error) -> Fault {
    Fault::Transport {
        kind: "network",
        message: error.to_string(),
    }
}

impl Transport for Wire {
    async fn send(&self, request: Request<Bytes>) -> Result<Incoming, Fault> {
        let mut tokens = 0;
        loop {
            let incoming = self.once(&request).await?;
            let refused = matches!(incoming.status, 401 | 403);
            if !refused || tokens >= MOST_TOKENS {
                return Ok(incoming);
            }
            tokens += 1;
            let challenge = incoming.headers.get(header::WWW_AUTHENTICATE);
            let challenge = challenge
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            let granted = self.grants.authorize(challenge).await;
            granted.map_err(|why| Fault::Transport {
                kind: "unauthorized",
                message: why,
            })?;
        }
    }
}
