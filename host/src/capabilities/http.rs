//! Outbound HTTP for `wasi:http` 0.2 and 0.3: permissions, vetted addresses, pooled connections, and
//! calls to other components in process.
mod body;
mod client;
mod connector;

use std::future::Future;
use std::sync::Arc;

use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

pub use client::{Outbound, tls_config};

use crate::net::allowed::chained_component;
use crate::router::{Match, client_header};
use crate::runtime::{ComponentInfo, Shared, call};

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);
type Sending = Box<dyn Future<Output = Result<Sent, Error>> + Send>;

/// Sends what one component's instances ask for.
pub struct Hooks {
    component: Arc<ComponentInfo>,
    shared: Arc<Shared>,
}

impl Hooks {
    /// The hooks of an instance of `component`.
    pub fn new(component: Arc<ComponentInfo>, shared: Arc<Shared>) -> Self {
        Self { component, shared }
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Sending {
        let (component, shared) = (self.component.clone(), self.shared.clone());
        Box::new(async move {
            let response = send(&component, &shared, request, options.unwrap_or_default()).await?;
            Ok((
                response,
                Box::new(std::future::ready(Ok(()))) as Box<dyn Future<Output = _> + Send>,
            ))
        })
    }
}

async fn send(
    component: &ComponentInfo,
    shared: &Arc<Shared>,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Error> {
    let uri = request.uri();
    let scheme = uri.scheme_str().unwrap_or("https");
    let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?;
    if !component.allowed_hosts.allows(scheme, host, uri.port_u16()) {
        crate::log::component_error(
            &component.id,
            &format!(
                "a request to {scheme}://{host} was refused; to allow it, add it to allowed_outbound_hosts"
            ),
        );
        return Err(Error::HttpRequestDenied);
    }
    match chained_component(host).map(str::to_owned) {
        Some(id) => chain(shared, &id, request).await,
        None => shared.outbound.send(request, options).await,
    }
}

/// Calls another component of this application, without leaving the process.
async fn chain(
    shared: &Arc<Shared>,
    id: &str,
    mut request: Request<WasiBody>,
) -> Result<Response<WasiBody>, Error> {
    let index = shared
        .component_index(id)
        .ok_or(Error::DestinationNotFound)?;
    let full_url = request.uri().to_string();
    let path = request.uri().path().to_owned();
    let headers = request.headers_mut();
    headers.remove(http::header::HOST);
    headers.remove(http::header::CONNECTION);
    let client = client_header(([127, 0, 0, 1], 0).into());
    Match::chained(index, &path).set_headers(headers, &full_url, &client);
    force_http(request.uri_mut());
    let shared = shared.clone();
    // In a task of its own: one guest's stack must not grow on top of another's.
    let call = tokio::spawn(async move { call::call(&shared, index, request).await });
    let mut call = Chained(call);
    let answer = (&mut call.0)
        .await
        .unwrap_or_else(|error| Err(call::Failure::Failed(error.to_string())));
    let response = answer.map_err(|failure| match failure {
        call::Failure::TimedOut => Error::HttpResponseTimeout,
        other => Error::InternalError(Some(other.to_string())),
    })?;
    Ok(response.map(BodyExt::boxed_unsync))
}

/// A chained call; it goes with the one who waits for it.
struct Chained<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Chained<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn force_http(uri: &mut Uri) {
    let mut parts = std::mem::take(uri).into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    if let Ok(changed) = Uri::from_parts(parts) {
        *uri = changed;
    }
}
