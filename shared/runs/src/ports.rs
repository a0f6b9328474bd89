//! The runner's ports on this request's caller and host.

use crate::commit::strip_nul;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyDataStream;
use nodeai_app::errors::{log, store_problem};
use nodeai_app::vault::OpenedSecret;
use nodeai_app::{App, Cx, clock};
use nodeai_edge::http_client;
use nodeai_engine::NodeOutcome;
use nodeai_http::Problem;
use nodeai_oauth::Connections;
use nodeai_ports::SendError;
use nodeai_runner::{
    Body, CachePort, Clock, Entropy, HttpPort, Secret, SecretError, SecretPort, TransportError,
};
use nodeai_store::Session;
use serde::Deserialize;
use serde_json::{Value, json};
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
        SendError::Unreachable(_) => TransportError::unreachable(error.to_string()),
        _ => TransportError::network(error.to_string()),
    }
}

/// The host's clock; a run that only waits gives the database connection back.
pub struct HostClock {
    /// Whose host it is.
    pub app: Rc<App>,
    /// Whose connection it is.
    pub session: Rc<Session>,
}

impl Clock for HostClock {
    fn now_us(&self) -> i64 {
        clock::now_us()
    }

    async fn sleep(&self, us: u64) {
        self.app.env.sleep_ms(us.div_ceil(1000)).await;
    }

    async fn pause(&self, us: u64) {
        self.session.release();
        self.sleep(us).await;
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

/// Results that count again, for the whole organisation. A store that stays away only costs the call.
pub struct Kept(pub Rc<Session>);

#[derive(Deserialize)]
struct KeptResult {
    output: Value,
    handle: String,
}

impl CachePort for Kept {
    async fn get(&self, key: &str) -> Option<NodeOutcome> {
        let args = json!({"org_id": self.0.org_id(), "key": key});
        let found: Result<Option<KeptResult>, _> = self.0.call("cache_get", &args).await;
        let kept = found.map_err(|error| log("cache_get", &error.to_string()));
        kept.ok().flatten().map(|kept| NodeOutcome {
            output: kept.output,
            handle: kept.handle,
        })
    }

    async fn put(&self, key: &str, ttl_ms: u64, outcome: &NodeOutcome) {
        let mut args = json!({"org_id": self.0.org_id(), "key": key, "output": outcome.output,
            "handle": outcome.handle, "ttl_us": ttl_ms.saturating_mul(1_000)});
        strip_nul(&mut args);
        let kept: Result<Value, _> = self.0.call("cache_put", &args).await;
        if let Err(error) = kept {
            log("cache_put", &error.to_string());
        }
    }
}

/// The vault, and behind it the operator's own provider keys.
pub struct Secrets {
    /// The request.
    pub cx: Rc<Cx>,
    /// Its admitted session.
    pub session: Rc<Session>,
    /// The run.
    pub execution_id: String,
    /// The environment whose secrets come first; none for those of all environments alone.
    pub environment: Option<String>,
}

/// Secret names that an operator may provide by variable to every workflow here.
const OFFERED: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "nodeai_openai_api_key"),
    ("ANTHROPIC_API_KEY", "nodeai_anthropic_api_key"),
    ("GEMINI_API_KEY", "nodeai_gemini_api_key"),
];

impl SecretPort for Secrets {
    async fn open(
        &self,
        node: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        let mut found = self.from_vault(node, names).await?;
        for (name, variable) in OFFERED {
            if names.iter().any(|wanted| wanted == name)
                && !found.contains_key(name)
                && let Some(value) = self.cx.env().get(variable).await
            {
                found.insert(name.to_owned(), Secret::unbound(value));
            }
        }
        Ok(found)
    }

    async fn access_token(
        &self,
        node: &str,
        connection: &str,
        refused: Option<&str>,
    ) -> Result<Secret, SecretError> {
        let connections = Connections {
            cx: self.cx.clone(),
            session: self.session.clone(),
            execution_id: Some(self.execution_id.clone()),
            environment: self.environment.clone(),
        };
        let token = connections.token(connection, node, refused).await;
        let token = token.map_err(|fault| SecretError {
            retryable: fault.may_pass(),
            message: fault.to_string(),
        })?;
        Ok(Secret {
            value: token.value,
            hosts: Some(token.hosts),
        })
    }
}

impl Secrets {
    /// The store writes who opens what for which run and node, and hands out ciphertexts only with that.
    async fn from_vault(
        &self,
        node: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        let args = json!({"org_id": self.session.org_id(), "names": names, "purpose": "run",
            "execution_id": self.execution_id, "node_id": node, "environment": self.environment});
        let opened: Result<Vec<OpenedSecret>, _> = self.session.call("secrets_open", &args).await;
        let opened = opened.map_err(|error| SecretError {
            retryable: matches!(error, nodeai_store::Error::Unavailable(_)),
            message: store_problem(error).detail.unwrap_or_default(),
        })?;
        let mut values = BTreeMap::new();
        for secret in opened {
            match secret.value(&self.cx) {
                Ok(value) => {
                    let hosts = secret.hosts;
                    values.insert(secret.name, Secret { value, hosts });
                }
                Err(problem) => return Err(self.not_opened(&secret, problem).await),
            }
        }
        Ok(values)
    }

    /// What does not open is an attack or a wrong key; either way the audit log hears of it.
    async fn not_opened(&self, secret: &OpenedSecret, problem: Problem) -> SecretError {
        let note = secret.tampering(&self.cx.trace.trace_id.to_string());
        let noted: Result<Value, _> = self.session.call("tampering_note", &note).await;
        if let Err(error) = noted {
            store_problem(error);
        }
        SecretError {
            message: problem.detail.unwrap_or_default(),
            retryable: false,
        }
    }
}
