//! The HTTP server: HTTP/1.1 and h2c, drained on shutdown.
mod handle;
mod problem;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::router::Router;
use crate::runtime::Shared;

/// How long a client may take for its request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long requests may go on after a shutdown began.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// An application that can be served.
pub struct App {
    router: Router,
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
}

impl App {
    /// The application of `router` and the loaded components.
    pub fn new(router: Router, shared: Arc<Shared>) -> Self {
        let places = Arc::new(Semaphore::new(shared.limits.concurrency));
        Self {
            router,
            shared,
            places,
        }
    }
}

/// Takes the address, so that a port in use is known before anything else starts.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn bind(listen: &str) -> Result<TcpListener> {
    match TcpListener::bind(listen).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            anyhow::bail!(
                "{listen} is in use by another program; choose another address with --listen"
            )
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {listen}")),
    }
}

/// Serves until `stop` is ready, then lets running requests finish.
pub async fn run(listener: TcpListener, app: App, stop: impl Future<Output = ()>) {
    let app = Arc::new(app);
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => serve_connection(stream, client, app.clone(), &connections),
                // Out of descriptors, or the client is gone already: the next accept may do.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            () = &mut stop => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_LIMIT, connections.shutdown())
        .await
        .is_err()
    {
        crate::log::warn("some requests had not ended when the host stopped");
    }
}

fn serve_connection(
    stream: TcpStream,
    client: SocketAddr,
    app: Arc<App>,
    connections: &GracefulShutdown,
) {
    // A client that is gone already shows on the first read.
    let _ = stream.set_nodelay(true);
    let client = crate::router::client_header(client);
    let service = service_fn(move |request| {
        let (app, client) = (app.clone(), client.clone());
        async move { Ok::<_, std::convert::Infallible>(handle::handle(&app, &client, request).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT);
    builder.http2().timer(TokioTimer::new());
    let connection = connections.watch(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned(),
    );
    tokio::spawn(async move {
        // The client's faults and disconnects are its own affair.
        let _ = connection.await;
    });
}
