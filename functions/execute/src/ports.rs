//! The runner's ports on this request's caller and host.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyDataStream;
use nodeai_app::{App, clock};
use nodeai_edge::http_client;
use nodeai_ports::{Env, SendError};
use nodeai_runner::{Body, Clock, Entropy, HttpPort, SecretError, SecretPort, TransportError};
use nodeai_store::Session;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Outbound HTTP; gives the database connection back first, since a model may take its time.
pub struct Outbound(pub Rc<Session>);

impl HttpPort for Outbound {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _timeout_ms: u64,
    ) -> Result<http::Response<Body>, TransportError> {
        self.0.release();
        let response = http_client::send(request).await.map_err(transport_error)?;
        let (parts, body) = response.into_parts();
        let chunks = BodyDataStream::new(body)
            .map_err(|code| transport_error(http_client::send_error(code)));
        Ok(http::Response::from_parts(parts, chunks.boxed_local()))
    }
}

fn transport_error(error: SendError) -> TransportError {
    match error {
        SendError::Refused(_) => TransportError::refused(error.to_string()),
        _ => TransportError::network(error.to_string()),
    }
}

/// The host's clock.
pub struct HostClock(pub Rc<App>);

impl Clock for HostClock {
    fn now_us(&self) -> i64 {
        clock::now_us()
    }

    async fn sleep(&self, us: u64) {
        self.0.env.sleep_ms(us.div_ceil(1000)).await;
    }
}

/// The host's randomness.
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(16) {
            let random: [u8; 16] = clock::random();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
    }
}

/// The operator's own provider keys, which the variables `nodeai_<provider>_api_key` offer to every workflow here.
pub struct OperatorKeys(pub Rc<dyn Env>);

/// Secret names that an operator may provide by variable.
const OFFERED: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "nodeai_openai_api_key"),
    ("ANTHROPIC_API_KEY", "nodeai_anthropic_api_key"),
    ("GEMINI_API_KEY", "nodeai_gemini_api_key"),
];

impl SecretPort for OperatorKeys {
    async fn resolve(&self, names: &[String]) -> Result<BTreeMap<String, String>, SecretError> {
        let mut values = BTreeMap::new();
        for (name, variable) in OFFERED {
            if names.iter().any(|wanted| wanted == name)
                && let Some(value) = self.0.get(variable).await
            {
                values.insert(name.to_owned(), value);
            }
        }
        Ok(values)
    }
}
