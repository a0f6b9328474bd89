//! A scripted LLM provider for tests: a real HTTP server that follows the published contracts
//! of OpenAI, Anthropic, Gemini and Fireworks' fine-tuning, and does what a script or the model's name tells it.
//!
//! Without a script it answers `You said: <last user message>`. Models whose name contains
//! `429`, `500`, `malformed`, `drop` or `slow` behave so; one with `judge` in its name judges by words. `POST /__script` queues behaviours,
//! `GET /__requests` shows what arrived, `DELETE /__requests` forgets both.

mod anthropic;
mod control;
mod files;
mod fireworks;
mod gemini;
mod judge;
mod openai;
mod plan;
mod storage;
mod web;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use axum::Router;
pub use control::Arrived;
pub use plan::Behaviour;
use tokio::sync::oneshot;

/// What the server knows.
#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) script: std::collections::VecDeque<Behaviour>,
    pub(crate) requests: Vec<Arrived>,
    pub(crate) files: Vec<files::File>,
    pub(crate) jobs: Vec<files::Job>,
    pub(crate) fireworks: fireworks::Resources,
    pub(crate) counter: u64,
    pub(crate) storage: storage::Storage,
}

/// The server's state, shared by its handlers.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Inner>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new id, such as `chatcmpl-7`.
    pub(crate) fn id(&self, prefix: &str) -> String {
        let mut inner = self.lock();
        inner.counter += 1;
        format!("{prefix}-{}", inner.counter)
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .merge(openai::routes())
        .merge(anthropic::routes())
        .merge(gemini::routes())
        .merge(files::routes())
        .merge(fireworks::routes())
        .merge(web::routes())
        .layer(axum::middleware::from_fn_with_state(
            shared.clone(),
            control::record,
        ))
        .merge(control::routes())
        // Megabytes of files are not noted.
        .merge(storage::routes())
        .with_state(shared)
}

/// A running stand-in; it stops when dropped.
pub struct StandIn {
    /// Its base, such as `http://127.0.0.1:4000`. OpenAI's and Anthropic's base URL is this plus
    /// `/v1`, Gemini's is this plus `/v1beta`.
    pub url: String,
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Starts on a free local port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start() -> io::Result<Self> {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts on this address, in a thread of its own.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let shared = Shared::default();
        let app = router(shared.clone());
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let serve = async {
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    axum::serve(listener, app).await
                };
                // Whichever comes first; an open stream does not hold the end up.
                tokio::select! { _ = serve => {}, _ = stopped => {} }
            });
        });
        Ok(Self {
            url,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The base URL of the OpenAI API.
    pub fn openai(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// Queues what the next requests get, first come first served.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.lock().script.extend(behaviours);
    }

    /// What has arrived so far.
    pub fn requests(&self) -> Vec<Arrived> {
        self.shared.lock().requests.clone()
    }

    /// Waits until the server ends; for the program.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed by its thread.
            let _ = thread.join();
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server may have ended already.
            let _ = stop.send(());
        }
    }
}
