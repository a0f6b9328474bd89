//! The pooled client that all components share; what it may reach does not depend on who asks.
use std::error::Error as _;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::TimedBody;
use super::connector::{ConnectError, VettedConnector};
use crate::net::vet::Vetting;

/// What a request waits for its head, and a body for its next piece, when the guest says nothing.
const DEFAULT_WAIT: Duration = Duration::from_secs(600);

/// The shared client.
#[derive(Debug, Clone)]
pub struct Outbound(Client<HttpsConnector<VettedConnector>, WasiBody>);

impl Outbound {
    /// A client that reaches what `vetting` allows, and trusts the system's and Mozilla's roots.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(vetting: Vetting) -> Result<Self> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(&[])?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(VettedConnector::new(vetting));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(connector);
        Ok(Self(client))
    }

    /// Sends a request and gives the response once its head is there.
    ///
    /// # Errors
    /// The `wasi:http` error that says what went wrong.
    pub async fn send(
        &self,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        let connect = options.connect_timeout.unwrap_or(Duration::ZERO);
        let wait = options
            .first_byte_timeout
            .map_or(DEFAULT_WAIT, |first| first.saturating_add(connect));
        let response = tokio::time::timeout(wait, self.0.request(request))
            .await
            .map_err(|_| Error::HttpResponseTimeout)?
            .map_err(|error| explain(&error))?;
        let pause = options.between_bytes_timeout.unwrap_or(DEFAULT_WAIT);
        Ok(response.map(|body| TimedBody::new(body, pause).boxed_unsync()))
    }
}

/// A TLS configuration with the system's roots, Mozilla's, and `extra` (PEM).
///
/// # Errors
/// When `extra` holds no certificate, or the protocol versions are not supported.
pub fn tls_config(extra: &[u8]) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    for certificate in rustls_native_certs::load_native_certs().certs {
        // A root that this library cannot read is simply not trusted.
        let _ = roots.add(certificate);
    }
    if !extra.is_empty() {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        for certificate in CertificateDer::pem_slice_iter(extra) {
            roots.add(certificate.context("the CA certificate is not PEM")?)?;
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn explain(error: &ClientError) -> Error {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return explain_connect(connect);
        }
        if cause.downcast_ref::<rustls::Error>().is_some() {
            return explain_tls(cause.downcast_ref());
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            if let Some(tls) = io
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            {
                return explain_tls(Some(tls));
            }
            return explain_io(io);
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            if hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed() {
                return Error::ConnectionTerminated;
            }
            if hyper.is_timeout() {
                return Error::HttpResponseTimeout;
            }
        }
        source = cause.source();
    }
    if error.is_connect() {
        Error::ConnectionRefused
    } else {
        Error::HttpProtocolError
    }
}

fn explain_connect(error: &ConnectError) -> Error {
    match error {
        ConnectError::NoHost => Error::HttpRequestUriInvalid,
        ConnectError::Dns(_) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        ConnectError::Prohibited(_) => Error::DestinationIpProhibited,
        ConnectError::Io(error) => explain_io(error),
        ConnectError::Timeout => Error::ConnectionTimeout,
    }
}

fn explain_io(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Error::DestinationUnavailable
        }
        _ => Error::ConnectionTerminated,
    }
}

fn explain_tls(error: Option<&rustls::Error>) -> Error {
    match error {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        _ => Error::TlsProtocolError,
    }
}
