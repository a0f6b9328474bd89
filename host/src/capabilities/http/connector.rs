//! Connects only to addresses that were vetted, and to exactly those: the name is resolved once.
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::net::vet::Vetting;

/// How long one address may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URI has no host.
    #[error("the address has no host")]
    NoHost,
    /// The name has no address.
    #[error("the name could not be resolved: {0}")]
    Dns(std::io::Error),
    /// Every address is private, loopback or otherwise special.
    #[error("{0} is not a public address; an operator may allow it with --allow-private")]
    Prohibited(String),
    /// No address accepted.
    #[error("the connection failed: {0}")]
    Io(std::io::Error),
    /// No address accepted in time.
    #[error("the connection timed out")]
    Timeout,
}

/// A connector for hyper's client.
#[derive(Debug, Clone)]
pub struct VettedConnector(Arc<Vetting>);

impl VettedConnector {
    /// A connector that asks `vetting`.
    pub fn new(vetting: Vetting) -> Self {
        Self(Arc::new(vetting))
    }
}

impl tower_service::Service<Uri> for VettedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let vetting = self.0.clone();
        Box::pin(async move { connect(&vetting, &uri).await.map(TokioIo::new) })
    }
}

async fn connect(vetting: &Vetting, uri: &Uri) -> Result<TcpStream, ConnectError> {
    let host = uri.host().ok_or(ConnectError::NoHost)?;
    let port = uri
        .port_u16()
        .unwrap_or(if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        });
    let mut failure = ConnectError::Timeout;
    for address in resolve(vetting, host, port).await? {
        match tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(ConnectError::Io)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = ConnectError::Io(error),
            Err(_) => failure = ConnectError::Timeout,
        }
    }
    Err(failure)
}

/// The permitted addresses of a name, or of a literal, which is vetted alike.
async fn resolve(
    vetting: &Vetting,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let all: Vec<_> = tokio::net::lookup_host((name, port))
        .await
        .map_err(ConnectError::Dns)?
        .collect();
    let permitted: Vec<_> = all
        .iter()
        .copied()
        .filter(|address| vetting.allows(host, *address))
        .collect();
    if permitted.is_empty() && !all.is_empty() {
        return Err(ConnectError::Prohibited(host.to_owned()));
    }
    Ok(permitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn private_literals_and_names_are_refused() {
        for uri in [
            "http://127.0.0.1:9",
            "http://localhost:9",
            "http://[::1]:9",
            "http://[::ffff:127.0.0.1]:9",
            "http://169.254.169.254/latest",
        ] {
            let outcome = connect(&Vetting::default(), &uri.parse().unwrap()).await;
            assert!(
                matches!(
                    outcome,
                    Err(ConnectError::Prohibited(_) | ConnectError::Dns(_))
                ),
                "{uri}: {outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn permitted_addresses_are_reached() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: Uri = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let vetting = Vetting::parse(["127.0.0.0/8"]).unwrap();
        assert!(connect(&vetting, &uri).await.is_ok());
    }
}
