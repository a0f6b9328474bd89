//! What guests write to stdout and stderr: whole lines go to the host's log, lines of unflushed spans
//! also to disk.
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::{ComponentInfo, Shared};
use crate::{log, spans};

/// Lines longer than this are cut; a guest cannot fill the host's memory with one line.
const LONGEST_LINE: usize = 8 << 20;

/// One instance's output.
#[derive(Clone)]
pub struct Output(Arc<Inner>);

struct Inner {
    pending: Mutex<Vec<u8>>,
    component: Arc<ComponentInfo>,
    shared: Arc<Shared>,
}

impl Output {
    /// Output of an instance of `component`.
    pub fn new(component: Arc<ComponentInfo>, shared: Arc<Shared>) -> Self {
        Self(Arc::new(Inner {
            pending: Mutex::default(),
            component,
            shared,
        }))
    }

    fn accept(&self, bytes: &[u8]) {
        let mut pending = self
            .0
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || pending.len() > LONGEST_LINE {
                self.0.emit(&std::mem::take(&mut *pending));
            }
        }
    }
}

impl Inner {
    fn emit(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\n', '\r']);
        if let Some(otlp) = line.strip_prefix(spans::LINE_PREFIX) {
            self.shared.spans.keep_unflushed(otlp);
        }
        log::guest(&self.component.id, line);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let rest = std::mem::take(
            self.pending
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if !rest.is_empty() {
            self.emit(&rest);
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.accept(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.accept(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
